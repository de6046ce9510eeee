# The recipes of configs/ and the shapes of their models, for the test of plans. Sourced.
shape='{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16"}'
recipe llama3-8b 8 2 256 Llama-3.1-8B "$shape"
recipe llama3-8b-lora 2 2 256 Llama-3.1-8B "$shape"
shape='{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 128256, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16"}'
recipe llama3-70b 64 2 256 Llama-3.1-70B "$shape"
recipe llama3-70b-lora 8 2 256 Llama-3.1-70B "$shape"
shape='{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16", "head_dim": 128, "attention_bias": false}'
recipe qwen3-8b 8 2 256 Qwen3-8B-Base "$shape"
recipe qwen3-8b-lora 2 2 256 Qwen3-8B-Base "$shape"
shape='{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 5120, "intermediate_size": 17408, "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16", "head_dim": 128, "attention_bias": false}'
recipe qwen3-14b 16 2 256 Qwen3-14B-Base "$shape"
recipe qwen3-14b-lora 2 2 256 Qwen3-14B-Base "$shape"
shape='{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 5120, "intermediate_size": 25600, "num_hidden_layers": 64, "num_attention_heads": 64, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16", "head_dim": 128, "attention_bias": false}'
recipe qwen3-32b 32 2 256 Qwen3-32B "$shape"
recipe qwen3-32b-lora 4 2 256 Qwen3-32B "$shape"
shape='{"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": 262208, "hidden_size": 3840, "intermediate_size": 15360, "num_hidden_layers": 48, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 131072, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "sliding_window": 1024, "sliding_window_pattern": 6, "query_pre_attn_scalar": 256, "tie_word_embeddings": true, "bos_token_id": 2, "eos_token_id": 1, "torch_dtype": "bfloat16"}'
recipe gemma3-12b 16 2 256 gemma-3-12b-pt "$shape"
recipe gemma3-12b-lora 2 2 256 gemma-3-12b-pt "$shape"
shape='{"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "vocab_size": 262208, "hidden_size": 5376, "intermediate_size": 21504, "num_hidden_layers": 62, "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128, "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 131072, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "sliding_window": 1024, "sliding_window_pattern": 6, "query_pre_attn_scalar": 168, "tie_word_embeddings": true, "bos_token_id": 2, "eos_token_id": 1, "torch_dtype": "bfloat16"}'
recipe gemma3-27b 32 2 256 gemma-3-27b-pt "$shape"
recipe gemma3-27b-lora 4 2 256 gemma-3-27b-pt "$shape"
shape='{"architectures": ["MistralForCausalLM"], "model_type": "mistral", "vocab_size": 32768, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16", "sliding_window": null}'
recipe mistral-7b 8 2 256 Mistral-7B-v0.3 "$shape"
recipe mistral-7b-lora 2 2 256 Mistral-7B-v0.3 "$shape"
recipe mistral-7b-dpo 8 2 256 Mistral-7B-v0.3 \
  '{"architectures": ["MistralForCausalLM"], "model_type": "mistral", "vocab_size": 32768, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16", "sliding_window": null}'
