import { readFileSync } from 'node:fs'
import { readTokenizer } from './src/tokenizer/read-tokenizer.ts'
import { mergesOf } from './src/tokenizer/merges.ts'
import { tokenizerFiles } from './src/tokenizer/tokenizer-files.ts'
const S='/work/shared/models/llama2c/'
const v = readTokenizer(readFileSync(S+'tokenizer.model'))
const t=performance.now()
const m = mergesOf(v).map(([a,b])=>`${a} ${b}`)
console.log('ms', performance.now()-t)
const real = JSON.parse(readFileSync('/work/shared/tokenizers/llama2/tokenizer.json','utf8'))
console.log(m.length, real.model.merges.length, m.findIndex((x,i)=>x!==real.model.merges[i]))
const f=JSON.parse(tokenizerFiles(v,{contextLength:4096}).tokenizerJson)
console.log('vocab eq', JSON.stringify(Object.entries(f.model.vocab).sort())===JSON.stringify(Object.entries(real.model.vocab).sort()))
for (const k of ['added_tokens','normalizer','decoder','post_processor']) console.log(k, JSON.stringify(f[k])===JSON.stringify(real[k]))
const a=tokenizerFiles(readTokenizer(readFileSync(S+'tok512.bin')),{contextLength:512}), b=tokenizerFiles(readTokenizer(readFileSync(S+'tok512.model')),{contextLength:512})
console.log('512 same', a.tokenizerJson===b.tokenizerJson, a.configJson===b.configJson)
const c=tokenizerFiles(readTokenizer(readFileSync(S+'babyllama-tok105.tok.bin')),{contextLength:512}), d=tokenizerFiles(readTokenizer(readFileSync(S+'babyllama-tok105.model')),{contextLength:512})
console.log('105 same', c.tokenizerJson===d.tokenizerJson, c.tokenizerJson.slice(-1500))
for (let i=18915;i<18922;i++) console.log(JSON.stringify(m[i]), JSON.stringify(real.model.merges[i]))
console.log(m.filter((x,i)=>x!==real.model.merges[i]).length, [...m].sort().join('\n')===[...real.model.merges].sort().join('\n'))
const rv=real.model.vocab, fv=f.model.vocab
console.log(Object.keys(rv).length,Object.keys(fv).length, Object.keys(rv).filter(k=>rv[k]!==fv[k]).slice(0,10), Object.keys(fv).filter(k=>rv[k]!==fv[k]).slice(0,10).map(k=>[k,fv[k]]))
const ms=new Set(m), rs=new Set(real.model.merges); console.log([...m].filter(x=>!rs.has(x)).length,[...rs as Set<string>].filter(x=>!ms.has(x)).length)
console.log('#####')
const esc=(s:string)=>s.replace(/[^\x21-\x7e▁]/g,c=>'\\u'+c.charCodeAt(0).toString(16))
for (const id of [8655,17891,20246,30081]) console.log(id, esc(v.pieces[id]!.text), esc(Object.keys(rv).find(k=>rv[k]===id)!))
const diff=m.map((x,i)=>[i,x,real.model.merges[i]] as const).filter(([,a,b])=>a!==b&& !/[\u00a0]/.test(a))
console.log(diff.length); for (const d of diff.slice(0,12)) console.log(d[0],esc(d[1]),'|',esc(d[2]))
