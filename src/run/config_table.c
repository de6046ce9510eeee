/* The table of configuration keys. docs/configuration.md is checked against it. */
#include "config_table.h"

#define AT(member) offsetof(ft_config, member)
#define KEY(TYPE, PATH, OFFSET, INITIAL, ...)                                                      \
  { .path = PATH, .type = KEY_##TYPE, .offset = OFFSET, .initial = INITIAL, __VA_ARGS__ }
#define LARGEST 9007199254740991.0 /* 2^53 - 1: integers beyond are not exact in JSON */

const ft_key ft_config_table[] = {
    KEY(STRING, "model.path", AT(model_path), "required",
        .meaning = "Hugging Face model directory to start from"),
    KEY(STRING, "model.adapter", AT(adapter), "null",
        .meaning = "adapter directory of PEFT or the adapters library to go on from; it decides "
                   "the method",
        .nullable = true),
    KEY(CHOICE, "model.storage", AT(storage), "\"bf16\"",
        .meaning = "how frozen weights are kept: \"bf16\" (as they are computed with: in fp32 4 "
                   "bytes), \"int8\" (matrices as whole numbers in blocks of 64 with a scale: 1.06 "
                   "bytes) or \"nf4\" (as 16 numbers: 0.56; what makes the logits as int8)",
        .choices = {"bf16", "int8", "nf4"}),
    KEY(CHOICE, "method.name", AT(method.name), "\"full\"",
        .meaning = "what is trained: \"full\" (the model), or something small beside a frozen one: "
                   "\"lora\", \"ia3\", \"prefix\", \"prompt\" or \"adapter\" (bottlenecks)",
        .choices = {"full", "lora", "ia3", "prefix", "prompt", "adapter"}),
    KEY(NAMES, "method.targets", AT(method.targets), "\"all-linear\"",
        .meaning =
            "of \"lora\" and \"ia3\": names of the linear maps that they are put beside "
            "(\"q_proj\", \"layers.3.mlp.up_proj\"; of \"lora\" the embedding and the head, "
            "too: \"embed_tokens\", \"lm_head\"), or \"all-linear\": those of all "
            "layers (IA3: keys, values and the feed-forward part's last map; of Qwen and Gemma "
            "queries, not keys, as in PEFT)"),
    KEY(INT, "method.rank", AT(method.rank), "8", .meaning = "of \"lora\": rank of B and A",
        .min = 1, .max = 65536),
    KEY(NUMBER, "method.alpha", AT(method.alpha), "null",
        .meaning = "of \"lora\": what it adds is multiplied by alpha / rank; null: the rank",
        .min = 1e-6, .max = 1e6, .nullable = true),
    KEY(BOOL, "method.rslora", AT(method.rslora), "false",
        .meaning = "multiply by alpha / √rank instead (Kalajdzievski 2023)"),
    KEY(BOOL, "method.dora", AT(method.dora), "false",
        .meaning = "train the norms of rows by themselves (Liu et al. 2024)"),
    KEY(BOOL, "method.ensure_weight_tying", AT(method.ensure_weight_tying), "false",
        .meaning = "of \"lora\": where embedding and head are one matrix, what is put beside one "
                   "stands beside the other, too"),
    KEY(NUMBERS, "method.rank_pattern", AT(method.rank_pattern), "{}",
        .meaning = "other ranks by regular expressions for the end of a map's name; the first that "
                   "fits holds",
        .min = 1, .max = 65536),
    KEY(NUMBERS, "method.alpha_pattern", AT(method.alpha_pattern), "{}",
        .meaning = "other alphas in the same way", .min = 1e-6, .max = 1e6),
    KEY(NUMBER, "method.dropout", AT(method.dropout), "0",
        .meaning = "of \"lora\": share of A's inputs that is left out in training", .min = 0,
        .max = 0.99),
    KEY(CHOICE, "method.bias", AT(method.bias), "\"none\"",
        .meaning = "of \"lora\": which biases of the model are trained too: \"none\", \"all\" or "
                   "\"lora_only\" (of its targets)",
        .choices = {"none", "all", "lora_only"}),
    KEY(NAMES, "method.save_modules", AT(method.save_modules), "[]",
        .meaning = "names of modules that are trained whole beside what the method adds "
                   "(\"lm_head\")"),
    KEY(INT, "method.virtual_tokens", AT(method.virtual_tokens), "20",
        .meaning = "of \"prefix\" and \"prompt\": tokens before each document", .min = 1,
        .max = 65536),
    KEY(STRING, "method.init", AT(method.init), "\"random\"",
        .meaning = "how a \"prompt\" begins: \"random\" (normal numbers), "
                   "\"vocabulary\" (tokens drawn from it) or \"text:…\" (this text's tokens, again "
                   "from the start until there are enough)"),
    KEY(INT, "method.reduction", AT(method.reduction), "16",
        .meaning = "of \"adapter\": hidden size over the bottleneck's", .min = 1, .max = 65536),
    KEY(CHOICE, "method.placement", AT(method.placement), "\"pfeiffer\"",
        .meaning = "of \"adapter\": after the feed-forward part, reading the "
                   "residual stream (\"pfeiffer\"), or after attention too, reading what they give "
                   "(\"houlsby\")",
        .choices = {"pfeiffer", "houlsby"}),
    KEY(CHOICE, "method.activation", AT(method.activation), "\"relu\"",
        .meaning = "of \"adapter\": \"relu\", \"silu\" or \"gelu\"",
        .choices = {"relu", "silu", "gelu"}),
    KEY(CHOICE, "objective.name", AT(objective), "\"tokens\"",
        .meaning = "what is learnt: \"tokens\" (the next one), \"masked-tokens\" (BERT and its "
                   "kin), \"classes\" (of documents), from pairs of answers \"dpo\", \"simpo\", "
                   "\"cpo\", \"orpo\" or \"reward\" (a model that scores answers), from rated "
                   "ones \"kto\"",
        .choices = {"tokens", "masked-tokens", "classes", "dpo", "simpo", "cpo", "orpo", "kto",
                    "reward"}),
    KEY(CHOICE, "objective.loss", AT(pair_loss), "\"sigmoid\"",
        .meaning = "of \"dpo\": the loss of a pair; \"cpo\" has \"sigmoid\", \"hinge\" and "
                   "\"ipo\"",
        .choices = {"sigmoid", "conservative", "hinge", "ipo", "robust", "sigmoid_norm", "apo_zero",
                    "apo_down", "sppo_hard", "exo_pair", "nca_pair", "bco_pair"}),
    KEY(NUMBER, "objective.beta", AT(preference.beta), "null",
        .meaning = "of \"dpo\", \"simpo\", \"cpo\", \"orpo\" and \"kto\": scale of "
                   "log-probabilities; null: 0.1, of \"simpo\" 2",
        .min = 1e-9, .max = 1e6, .nullable = true),
    KEY(NUMBER, "objective.gamma", AT(preference.gamma), "null",
        .meaning = "of \"simpo\": how far the chosen answer is to be ahead; null: 1", .min = 0,
        .max = 1e6, .nullable = true),
    KEY(NUMBER, "objective.nll", AT(preference.nll), "null",
        .meaning = "of \"simpo\", \"cpo\" and \"orpo\": this times the mean of -log p over "
                   "chosen documents is added; null: 1, of \"simpo\" 0",
        .min = 0, .max = 1e6, .nullable = true),
    KEY(NUMBER, "objective.desirable_weight", AT(preference.desirable_weight), "null",
        .meaning = "of \"kto\": weight of desirable documents; null: 1", .min = 0, .max = 1e6,
        .nullable = true),
    KEY(NUMBER, "objective.undesirable_weight", AT(preference.undesirable_weight), "null",
        .meaning = "of \"kto\": weight of the others; null: 1", .min = 0, .max = 1e6,
        .nullable = true),
    KEY(NUMBER, "objective.centre", AT(preference.centre), "null",
        .meaning = "of \"reward\": this times the square of a pair's summed scores is added; "
                   "null: 0",
        .min = 0, .max = 1e6, .nullable = true),
    KEY(STRING, "objective.reference", AT(reference), "null",
        .meaning = "of \"dpo\" and \"kto\": model directory whose log-probabilities answers "
                   "are compared with; null: model.path",
        .nullable = true),
    KEY(NUMBER, "objective.label_smoothing", AT(label_smoothing), "0",
        .meaning = "share of a target's weight that is spread over all tokens or classes "
                   "(Szegedy et al. 2016); of pairs: the share that is taken to be the wrong way "
                   "round",
        .min = 0, .max = 0.999),
    KEY(NUMBER, "objective.z_loss", AT(z_loss), "0",
        .meaning = "this times the square of the softmax's log-sum is added to the loss "
                   "(Chowdhery et al. 2022 have 1e-4)",
        .min = 0, .max = 1),
    KEY(SOURCES, "data.train", AT(train), "required",
        .meaning = "training sets: [{\"path\": shard or folder of shards, \"weight\": share of "
                   "rows}]"),
    KEY(REPLAY, "data.replay", AT(replay_share), "null",
        .meaning = "against forgetting: {\"path\": a general set, \"share\": of the rows, from "
                   "0.01, \"validation\": its validation set, by default DIR/validation beside "
                   "DIR/train}"),
    KEY(SETS, "data.validation", AT(validation), "[]",
        .meaning = "validation sets: [{\"name\": …, \"path\": …}]", .resumable = true),
    KEY(INT, "data.seq_len", AT(seq_len), "4096", .meaning = "longest row in tokens", .min = 1,
        .max = 1 << 24),
    KEY(CHOICE, "data.mix", AT(mix), "null",
        .meaning = "how several training sets are mixed: \"concatenate\" (a pass has every row of "
                   "each once), \"weights\" (shares of rows; without weights equal ones); null: "
                   "\"concatenate\" where no weight is given",
        .nullable = true, .choices = {"concatenate", "weights"}),
    KEY(BOOL, "data.packing", AT(packing), "null",
        .meaning = "fill a row with as many whole documents (or pairs) as fit; null: where single "
                   "tokens, masked tokens or classes are learnt, so that pairs and rated answers "
                   "are counted one by one",
        .nullable = true),
    KEY(CHOICE, "data.fit", AT(fit), "null",
        .meaning = "how rows are filled: \"next\" (documents in their order, a new row where one "
                   "does not fit) or \"best\" (each document into the fullest row that has room, "
                   "the longest first); null: \"best\" where data.shuffle is true",
        .nullable = true, .choices = {"next", "best"}),
    KEY(BOOL, "data.shuffle", AT(shuffle), "true", .meaning = "shuffle rows anew in every epoch"),
    KEY(INT, "train.global_batch", AT(global_batch), "null",
        .meaning = "rows of one step, over all ranks; null: 64, fewer where a pass would have "
                   "fewer than 16 steps",
        .min = 1, .max = 1 << 24, .nullable = true),
    KEY(INT, "train.micro_batch", AT(micro_batch), "1",
        .meaning = "rows that a rank computes at once; divides global_batch", .min = 1,
        .max = 1 << 20),
    KEY(INT, "train.steps", AT(steps), "null", .meaning = "optimizer steps of the run", .min = 1,
        .max = LARGEST, .nullable = true, .resumable = true),
    KEY(NUMBER, "train.epochs", AT(epochs), "null",
        .meaning = "instead of steps: passes over the training rows, ceil(epochs * rows / "
                   "global_batch) steps",
        .min = 1e-9, .max = 1e9, .nullable = true, .resumable = true),
    KEY(STRINGS, "train.freeze", AT(freeze), "[]",
        .meaning = "shell patterns over names of tensors (\"model.layers.[0-7].*\") that are not "
                   "trained"),
    KEY(CHOICE, "train.precision", AT(precision), "\"bf16\"",
        .meaning = "\"bf16\" or \"fp32\": type of weights and activations in compute",
        .choices = {"fp32", "bf16"}),
    KEY(CHOICE, "train.rounding", AT(rounding), "\"stochastic\"",
        .meaning =
            "how f32 master weights become bf16 ones: \"stochastic\" (up or down by chance, so "
            "that updates smaller than the distance of two bf16 numbers count in the mean) or "
            "\"nearest\"",
        .choices = {"nearest", "stochastic"}),
    KEY(CHOICE, "train.gradient", AT(gradient), "\"fp32\"",
        .meaning = "type of the gradient accumulator: \"fp32\" (4 bytes a parameter) or \"bf16\" "
                   "(2; stochastic rounding)",
        .choices = {"fp32", "bf16"}),
    KEY(NUMBER, "train.grad_clip", AT(grad_clip), "1.0",
        .meaning = "largest global gradient norm; null or 0: no clipping", .min = 0, .max = 1e30,
        .nullable = true),
    KEY(NUMBER, "train.ema", AT(ema), "null",
        .meaning = "decay d of an average of the weights, average += (1 - d) (weights - average) "
                   "after each update (4 bytes a parameter more; export --ema, eval --ema); null: "
                   "none",
        .min = 0.5, .max = 0.9999999, .nullable = true),
    KEY(NUMBER, "train.neftune_alpha", AT(neftune_alpha), "null",
        .meaning = "noise on embeddings in training (NEFTune, Jain et al. 2023, who take 5 to 15): "
                   "uniform within +-alpha / sqrt(document's tokens * hidden width); null or 0: "
                   "none",
        .min = 0, .max = 1e6, .nullable = true),
    KEY(EVERY, "train.activation_checkpointing", AT(activation_checkpointing), "true",
        .meaning = "true: keep only each layer's input and compute the rest again (less memory, "
                   "about a third more compute); k: of every k-th layer; false: of none",
        .min = 1, .max = 1 << 20, .resumable = true),
    KEY(CHOICE, "train.not_finite", AT(not_finite), "\"stop\"",
        .meaning = "a step whose loss or gradients are NaN or infinite: \"stop\" the run, or "
                   "\"skip\" the step",
        .resumable = true, .choices = {"stop", "skip"}),
    KEY(INT, "train.max_skipped", AT(max_skipped), "10",
        .meaning = "steps that a run may skip; one more ends it", .min = 1, .max = LARGEST,
        .resumable = true),
    KEY(CHOICE, "optimizer.name", FT_KEY_NOWHERE, "\"adamw\"", .meaning = "\"adamw\"",
        .choices = {"adamw"}),
    KEY(NUMBER, "optimizer.lr", AT(lr), "required", .meaning = "peak learning rate", .min = 0,
        .max = 1e6),
    KEY(PAIR, "optimizer.betas", AT(betas), "[0.9, 0.95]",
        .meaning = "decay of the first and second moment", .min = 0, .max = 0.9999999),
    KEY(NUMBER, "optimizer.eps", AT(eps), "1e-8",
        .meaning = "added to the root of the second moment", .min = 0, .max = 1),
    KEY(NUMBER, "optimizer.weight_decay", AT(weight_decay), "0.1",
        .meaning = "decoupled weight decay, of tensors with two or more dimensions", .min = 0,
        .max = 1e6),
    KEY(GROUPS, "optimizer.groups", AT(groups), "[]",
        .meaning = "tensors with a rate or decay of their own: [{\"pattern\": shell pattern over "
                   "names of tensors, \"lr\": peak rate, \"weight_decay\": …}]; the first that "
                   "matches holds"),
    KEY(NUMBER, "optimizer.layer_decay", AT(layer_decay), "1",
        .meaning = "a layer's rate as a share of that of the next one (the first layer follows "
                   "the embedding, the head the last)",
        .min = 0.001, .max = 1),
    KEY(CHOICE, "optimizer.master", AT(master), "\"fp32\"",
        .meaning = "type of the master weights: \"fp32\" (4 bytes a parameter), \"bf16+8\" (3) or "
                   "\"bf16\" (2); stochastic rounding",
        .choices = {"fp32", "bf16+8", "bf16"}),
    KEY(CHOICE, "optimizer.state", AT(state), "\"fp32\"",
        .meaning =
            "type of the moments: \"fp32\" (8 bytes a parameter) or \"int8\" (2.03; blocks of 256)",
        .choices = {"fp32", "int8"}),
    KEY(CHOICE, "schedule.name", AT(schedule.name), "\"cosine\"",
        .meaning =
            "\"constant\", \"linear\" or \"cosine\" after warm-up, or \"wsd\": constant, and "
            "linear over the last schedule.decay_steps",
        .choices = {"constant", "linear", "cosine", "wsd"}),
    KEY(INT, "schedule.decay_steps", AT(schedule.decay_steps), "null",
        .meaning = "of \"wsd\": steps at the end over which the rate falls; null: a tenth of all",
        .min = 1, .max = LARGEST, .nullable = true, .resumable = true),
    KEY(INT, "schedule.warmup_steps", AT(schedule.warmup_steps), "null",
        .meaning = "updates over which the rate rises linearly to lr; null: 100, at most a tenth "
                   "of the steps",
        .min = 0, .max = LARGEST, .nullable = true),
    KEY(INT, "schedule.steps", AT(schedule.steps), "null",
        .meaning = "step at which the course of the rate ends; later steps keep its last rate; "
                   "null: the run's last step, which moves with train.steps",
        .min = 1, .max = LARGEST, .nullable = true, .resumable = true),
    KEY(NUMBER, "schedule.min_lr_ratio", AT(schedule.min_lr_ratio), "0.1",
        .meaning = "rate of the last step, as a share of lr", .min = 0, .max = 1),
    KEY(INT, "sharding.stage", AT(stage), "3",
        .meaning = "3: everything sharded; 2 or 1: a full copy of the compute weights a node; 0: "
                   "everything everywhere",
        .min = 0, .max = 3, .resumable = true),
    KEY(INT, "validation.every", AT(validation_every), "100",
        .meaning = "steps between evaluations (also before the first and after the last)", .min = 1,
        .max = LARGEST, .resumable = true),
    KEY(MONITOR, "validation.monitor", AT(monitor), "null",
        .meaning = "the loss that best and patience look at: a set's name, or {NAME: weight, …}: "
                   "the weighted sum; null: the first set",
        .resumable = true),
    KEY(INT, "validation.patience", AT(patience), "null",
        .meaning = "stop after this many evaluations without a lower monitored loss", .min = 1,
        .max = LARGEST, .nullable = true, .resumable = true),
    KEY(NUMBER, "validation.min_delta", AT(min_delta), "0",
        .meaning = "how much lower than the lowest a loss must be to count for patience", .min = 0,
        .max = 1e6, .resumable = true),
    KEY(STRING, "validation.prompts", AT(prompts), "null",
        .meaning = "JSONL file of {\"prompt\": TEXT} that each evaluation continues, into the "
                   "metrics and the report; null: none",
        .nullable = true, .resumable = true),
    KEY(BOOL, "validation.sample_chat", AT(sample_chat), "false",
        .meaning = "a prompt is a user's message, put into the model's chat template",
        .resumable = true),
    KEY(INT, "validation.sample_tokens", AT(sample_tokens), "256",
        .meaning = "tokens of a prompt and its answer together", .min = 2, .max = 1 << 16,
        .resumable = true),
    KEY(NUMBER, "validation.sample_temperature", AT(sample_temperature), "0",
        .meaning = "0: the likeliest token each time; else tokens are drawn, with seed and each "
                   "line's \"stream\"",
        .min = 0, .max = 1e6, .resumable = true),
    KEY(INT, "validation.max_rows", AT(max_rows), "null",
        .meaning = "evaluate only the first rows of each set", .min = 1, .max = LARGEST,
        .nullable = true, .resumable = true),
    KEY(INT, "checkpoint.every", AT(checkpoint_every), "200",
        .meaning = "steps between checkpoints (one is always left at the end)", .min = 1,
        .max = LARGEST, .resumable = true),
    KEY(INT, "checkpoint.keep", AT(keep), "2",
        .meaning = "newest checkpoints kept, beside the best", .min = 1, .max = LARGEST,
        .resumable = true),
    KEY(STRING, "run.dir", AT(run_dir), "required",
        .meaning = "directory of the run; a checkpoint found there is resumed", .resumable = true),
    KEY(INT, "run.seed", AT(seed), "1", .meaning = "seed of every random number", .min = 0,
        .max = LARGEST),
    KEY(CHOICE, "run.resume", AT(resume), "\"auto\"",
        .meaning = "\"auto\", or \"never\": refuse a directory that holds a checkpoint",
        .resumable = true, .choices = {"auto", "never"}),
    KEY(STRING, "run.attempt", AT(attempt), "null", .nullable = true,
        .meaning = "a name that a script gives to this attempt at the run; its checkpoints have it",
        .resumable = true),
    KEY(TIME, "run.time_limit", AT(time_limit_s), "null",
        .meaning = "time after which the run stops early with a checkpoint: seconds, or \"24h\", "
                   "\"1h30m\", \"1-12:00:00\"",
        .min = 1e-3, .max = 1e12, .nullable = true, .resumable = true),
    KEY(TIME, "run.stall_timeout", AT(stall_timeout_s), "1800",
        .meaning = "time without any progress of a rank after which the job says who is late "
                   "and ends with status 75; null: no bound",
        .min = 1, .max = 1e12, .nullable = true, .resumable = true),
};

const int64_t ft_config_table_size = (int64_t)FT_ARRAY_SIZE(ft_config_table);
