import { ConvertError } from '../convert-error.ts'
import { messageCodec } from '../protobuf.ts'
import { PIECE_KINDS } from './pieces.ts'
import type { Piece, Vocabulary } from './pieces.ts'

/** The part of sentencepiece_model.proto that decides how text is encoded (github.com/google/sentencepiece). */
const sentencePieceModel = messageCodec(
  {
    ModelProto: {
      pieces: ['repeated', 'SentencePiece', 1],
      trainerSpec: ['TrainerSpec', 2],
      normalizerSpec: ['NormalizerSpec', 3],
    },
    SentencePiece: { piece: ['string', 1], score: ['float', 2], type: ['int32', 3] },
    TrainerSpec: {
      modelType: ['int32', 3],
      unkId: ['int32', 40],
      bosId: ['int32', 41],
      eosId: ['int32', 42],
    },
    NormalizerSpec: { name: ['string', 1], precompiledCharsmap: ['bytes', 2], addDummyPrefix: ['bool', 3] },
  },
  'ModelProto',
)

interface SentencePieceModel {
  readonly pieces: readonly { readonly piece: string; readonly score?: number; readonly type?: number }[]
  readonly trainerSpec?: {
    readonly modelType?: number
    readonly unkId?: number
    readonly bosId?: number
    readonly eosId?: number
  }
  readonly normalizerSpec?: { readonly precompiledCharsmap?: Uint8Array; readonly addDummyPrefix?: boolean }
}

const BPE = 2
/**
 * Reads a SentencePiece .model of type BPE with the identity normaliser.
 * `remove_extra_whitespaces` is not kept, as in llama2.c and in Hugging Face's Llama tokenizers: it would swallow what people typed.
 */
export function readSentencePiece(bytes: Uint8Array): Vocabulary {
  const { pieces, trainerSpec = {}, normalizerSpec = {} } = decode(bytes)
  if (pieces.length === 0) throw new ConvertError('this is not a SentencePiece model: it has no pieces')
  if (trainerSpec.modelType !== BPE)
    throw new ConvertError('only SentencePiece models of type BPE can be converted')
  if ((normalizerSpec.precompiledCharsmap?.length ?? 0) > 0) {
    throw new ConvertError('only SentencePiece models with the identity normaliser can be converted')
  }
  return {
    pieces: pieces.map(pieceOf),
    unknownId: trainerSpec.unkId ?? 0,
    bosId: trainerSpec.bosId ?? 1,
    eosId: trainerSpec.eosId ?? 2,
    dummyPrefix: normalizerSpec.addDummyPrefix ?? true,
  }
}

function pieceOf({ piece, score = 0, type = 1 }: SentencePieceModel['pieces'][number]): Piece {
  const kind = PIECE_KINDS[type]
  if (kind === undefined)
    throw new ConvertError(`the SentencePiece model has a piece of unknown type ${type}`)
  return { text: piece, kind, score }
}

function decode(bytes: Uint8Array): SentencePieceModel {
  try {
    return sentencePieceModel.decode(bytes) as SentencePieceModel // the codec was given these fields
  } catch {
    throw new ConvertError('this is not a SentencePiece model')
  }
}
