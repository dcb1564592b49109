"""The Llama decoder of llama2.c, to train: RMSNorm, RoPE on neighbouring pairs, SwiGLU, tied embeddings."""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Shape:
    dim: int
    hidden_dim: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    vocab_size: int
    context: int = 512

    @property
    def head_dim(self):
        return self.dim // self.num_heads


class RmsNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


def rope_tables(shape):
    frequencies = 10000.0 ** (-torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
    angles = torch.outer(torch.arange(shape.context).float(), frequencies)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Pairs are (0, 1), (2, 3), ... as in llama2.c, and not (0, n/2) as in Hugging Face's files."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Layer(nn.Module):
    def __init__(self, shape, dropout):
        super().__init__()
        self.shape, self.dropout = shape, dropout
        kv_dim = shape.num_kv_heads * shape.head_dim
        self.rms_att, self.rms_ffn = RmsNorm(shape.dim), RmsNorm(shape.dim)
        self.wq = nn.Linear(shape.dim, shape.dim, bias=False)
        self.wk = nn.Linear(shape.dim, kv_dim, bias=False)
        self.wv = nn.Linear(shape.dim, kv_dim, bias=False)
        self.wo = nn.Linear(shape.dim, shape.dim, bias=False)
        self.w1 = nn.Linear(shape.dim, shape.hidden_dim, bias=False)
        self.w2 = nn.Linear(shape.hidden_dim, shape.dim, bias=False)
        self.w3 = nn.Linear(shape.dim, shape.hidden_dim, bias=False)

    def forward(self, x, cos, sin, mask):
        x = x + F.dropout(self._attend(self.rms_att(x), cos, sin, mask), self.dropout, self.training)
        h = self.rms_ffn(x)
        return x + F.dropout(self.w2(F.silu(self.w1(h)) * self.w3(h)), self.dropout, self.training)

    def _attend(self, x, cos, sin, mask):
        s, (batch, length, _) = self.shape, x.shape
        split = lambda y, heads: y.view(batch, length, heads, s.head_dim).transpose(1, 2)
        q, k = rotate(split(self.wq(x), s.num_heads), cos, sin), rotate(split(self.wk(x), s.num_kv_heads), cos, sin)
        v = split(self.wv(x), s.num_kv_heads)
        group = s.num_heads // s.num_kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(s.head_dim) + mask, -1)
        return self.wo((weights @ v).transpose(1, 2).reshape(batch, length, s.dim))


class Model(nn.Module):
    def __init__(self, shape, dropout=0.0):
        super().__init__()
        self.shape, self.dropout = shape, dropout
        self.tok_emb = nn.Embedding(shape.vocab_size, shape.dim)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.num_layers))
        self.rms_final = RmsNorm(shape.dim)
        cos, sin = rope_tables(shape)
        self.register_buffer('cos', cos, persistent=False)
        self.register_buffer('sin', sin, persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                # the two that write into the residual stream start smaller, so that depth does not add up
                last = name.endswith(('wo.weight', 'w2.weight'))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * shape.num_layers) if last else 0.02)

    def forward(self, ids):
        """Logits at every position. Padding must be at the end: the mask is causal and nothing else."""
        length = ids.shape[1]
        mask = torch.full((length, length), float('-inf')).triu(1)
        x = F.dropout(self.tok_emb(ids), self.dropout, self.training)
        for layer in self.layers:
            x = layer(x, self.cos[:length], self.sin[:length], mask)
        return F.linear(self.rms_final(x), self.tok_emb.weight)
