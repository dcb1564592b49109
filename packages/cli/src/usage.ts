export const USAGE = `usage: tabserve convert …                  makes a model folder of a checkpoint: tabserve convert --help
       tabserve inspect PATH               what a model folder, manifest.json, GGUF file, Hugging Face folder or ONNX file is, and
                                           what it runs on
       tabserve serve [FOLDER] [options]   serves a folder (".") to this machine, with ranges and the headers that threads need
       tabserve bench MODEL [options]      loads a model (a folder or an address) in a browser and says how fast it is

  serve:
  --port N                8080 where absent, or the next free one; 0 takes any
  --not-isolated          without Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy
  --cors                  lets pages of any origin fetch what is served

  bench:
  --max-tokens N          of each answer; 64 where absent
  --together N            answers at once; 4 where absent
  --open                  prints an address to open in a browser of yours; so it does where Playwright is not installed
  --json                  figures as JSON`
