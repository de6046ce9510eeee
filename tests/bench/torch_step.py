#!/usr/bin/env python3
"""Training steps of PyTorch on the shapes that `ftrun bench` measures, to compare tokens/s.

Needs torch and transformers (PyPI, in a virtual environment outside the project):

    python tests/bench/torch_step.py --shape 768,2048,12,12,4,32000 --rows 4 --seq-len 512 [--compile]
    python tests/bench/torch_step.py --shape 4096,11008,2,32,32,32000 --rows 1 --seq-len 2048
    torchrun --nproc-per-node 2 tests/bench/torch_step.py --shape 4096,11008,2,32,32,32000 --rows 1 --seq-len 1024 \\
      --threads 1 --fsdp

bf16 autocast over f32 weights and fused AdamW, random weights and tokens; the median of some steps after two
to warm up. --fsdp: FSDP2 (fully_shard of each layer and of the rest, gathered and computed in bf16, over gloo);
--rows is then of each rank. Prints one JSON object.
"""
import argparse
import json
import os
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--shape", default="768,2048,12,12,4,32000", help="d,ffn,layers,heads,kv heads,vocabulary")
parser.add_argument("--rows", type=int, default=4)
parser.add_argument("--seq-len", type=int, default=512)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--steps", type=int, default=5)
parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
parser.add_argument("--compile", action="store_true")
parser.add_argument("--fsdp", action="store_true")
arguments = parser.parse_args()

import torch
from transformers import LlamaConfig, LlamaForCausalLM

torch.set_num_threads(arguments.threads)
torch.manual_seed(1)
d, ffn, layers, heads, kv_heads, vocab = map(int, arguments.shape.split(","))
config = LlamaConfig(hidden_size=d, intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=heads,
                     num_key_value_heads=kv_heads, vocab_size=vocab, max_position_embeddings=arguments.seq_len,
                     tie_word_embeddings=False, attn_implementation="sdpa")
model = LlamaForCausalLM(config)
ranks = 1
if arguments.fsdp:
    import torch.distributed as distributed
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    distributed.init_process_group("gloo")
    ranks = distributed.get_world_size()
    mesh = distributed.init_device_mesh("cpu", (ranks,))
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
forward = torch.compile(model) if arguments.compile else model
ids = torch.randint(0, vocab, (arguments.rows, arguments.seq_len))


def step():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.precision == "bf16" and not arguments.fsdp):
        loss = forward(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


for _ in range(2):
    step()
seconds = []
for _ in range(arguments.steps):
    begin = time.perf_counter()
    step()
    seconds.append(time.perf_counter() - begin)
median = statistics.median(seconds)
if not arguments.fsdp or distributed.get_rank() == 0:
    print(json.dumps({"torch": torch.__version__, "compile": arguments.compile, "fsdp": arguments.fsdp, "ranks": ranks,
                      "precision": arguments.precision, "step_seconds": median,
                      "tokens_per_second": ranks * arguments.rows * arguments.seq_len / median}))
if arguments.fsdp:
    distributed.destroy_process_group()
