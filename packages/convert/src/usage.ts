export const USAGE = `usage: convert hf FOLDER --out FOLDER --weights FORM [options]
       convert gguf FILE --out FOLDER --weights FORM [options]
       convert llama2c CHECKPOINT --tokenizer FILE --out FOLDER --name NAME --version VERSION --weights FORM [options]
       convert random --shape DIM/LAYERS/HEADS/KV_HEADS/HIDDEN/VOCAB --out FOLDER --weights FORM [options]
       convert inspect FOLDER
       convert index FOLDER [--latest N | --all | --specific V,V]

  hf FOLDER               Hugging Face folder: config.json, safetensors (one file or shards), tokenizer files
  gguf FILE               GGUF version 2 or 3: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q5_K, Q6_K
                          (both: Llama, Mistral, Qwen 2, 2.5 and 3, SmolLM2, Gemma 2 and 3 text)
  CHECKPOINT              llama2.c checkpoint: version 0, 1 (fp32) or 2 (int8)
  --tokenizer FILE        llama2.c tokenizer.bin or SentencePiece .model
  --weights FORM          fp32, fp16 (half the file; computes in fp32), int8 (wasm) or q4 (WebGPU)
  --out FOLDER            where the model folder goes

  --name NAME             the model's name (hf, gguf: that of the source; random: "random" where absent)
  --version VERSION       its version ("1" where absent; llama2c wants one)
  --chat-template FILE    Jinja template for chats (hf, gguf: instead of the source's own)
  --license SPDX          for example MIT
  --description TEXT
  --logits-split N        column parts of the int8 output projection; chosen by size where absent
  --force                 replace an existing model folder
  --context N             positions; hf, gguf: at most the source's, and 8192 of them where absent; random: 2048
  --text FILE             hf, gguf: measure perplexity on this text, of the converted model and of its source
  --seed N                random only: 1 where absent
  --untied                random only: an output projection of its own

  index FOLDER            writes FOLDER/index.json: the versions of one model, each in a folder of its own below
  --latest N | --all | --specific V,V
                          which of them are offered: the newest N, all, or these (as the present index says, else the newest)`
