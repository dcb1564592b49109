export const USAGE = `usage: convert llama2c CHECKPOINT --tokenizer FILE --out FOLDER --name NAME --version VERSION --weights FORM [options]
       convert random --shape DIM/LAYERS/HEADS/KV_HEADS/HIDDEN/VOCAB --out FOLDER --weights FORM [options]
       convert inspect FOLDER

  CHECKPOINT              llama2.c checkpoint: version 0, 1 (fp32) or 2 (int8)
  --tokenizer FILE        llama2.c tokenizer.bin or SentencePiece .model
  --weights FORM          fp32, fp16 (half the file; computes in fp32), int8 (wasm) or q4 (WebGPU)
  --out FOLDER            where the model folder goes

  --name NAME             the model's name (random: "random" where absent)
  --version VERSION       its version (random: "1" where absent)
  --chat-template FILE    Jinja template for chats
  --license SPDX          for example MIT
  --description TEXT
  --logits-split N        column parts of the int8 output projection; chosen by size where absent
  --force                 replace an existing model folder
  --context N             random only: positions, 2048 where absent
  --seed N                random only: 1 where absent
  --untied                random only: an output projection of its own`
