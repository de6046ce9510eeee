#!/usr/bin/env python3
"""Writes tests/tokenizer/tokenizers/*: small tokenizer.json files of every kind that is supported, each with
cases.jsonl: what Hugging Face's tokenizers make of texts. Of a case, plain_ids (special tokens are text)
and processed_ids (with the post-processor's) are there where they differ from ids, decoded where it differs
from text, decoded_plain (without special tokens) where it differs from decoded. decodings.jsonl holds ids
that no text becomes.

    python3 tests/reference/make_tokenizer_fixtures.py

Needs the PyPI package `tokenizers`; test_tokenizer.c reads the result, which is committed."""
import json
import os
import random
import zlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models, normalizers as N
from tokenizers import pre_tokenizers as P, processors as R, trainers

import tokenizer_texts

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tokenizer", "tokenizers")
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN35 = CONTRACTIONS + (r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)"
                         r"|\s+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = (r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + r"+%s|[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + r"*%s|%s"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = CASED % (CONTRACTIONS + "?", CONTRACTIONS + "?", r"\p{N}{1,3}")
TEKKEN = CASED % ("", "", r"\p{N}")
DEEPSEEK = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+"]
TEXTS = ["", " ", "a", "Hello, world!", "  two  spaces  ", "\n\n\ttabs\r\n", "the the the", "1234567 89", "don't WE'LL",
         "e\u0301 \u00e9 \u1100\u1161\u11a8", "\ufb01ne \u2460 \u212b", "\U0001F469\u200d\U0001F467", "\u4f60\u597d\u4e16\u754c",
         "\u0627\u0644\u0639", "a\u0085b\u180ec", "x\u2581y", "<s>[X] </s>", "\U000113C5\U00010D50", "\u0130I\u0131", "q" * 100,
         "the of and to in is" * 6, "thethe" * 30, "".join(tokenizer_texts.WORDS), "eeeee ooo ssss", "a   b     c",
         "1\U00010D40\U00010D41 word\U00010D4A", "tt the tea", "abab12345effe"]


def byte_level(normalizer=None, pre=None, merges=60, **options):
    t = Tokenizer(models.BPE(**options))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = P.ByteLevel(add_prefix_space=False)
    t.decoder = D.ByteLevel()
    train(t, 258 + merges, ["<|a|>", "<|end|>"], initial_alphabet=P.ByteLevel.alphabet())
    if pre:  # only now: merges may cross its cuts, so that these show
        t.pre_tokenizer = pre
    return t


def train(t, size, special, **options):
    r = random.Random(1)
    lines = [" ".join(r.choice(tokenizer_texts.WORDS) for _ in range(12)) for _ in range(300)]
    lines += ["eee oooo ssssss  two   three    four"] * 30
    t.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=special,
                                                    **options))


def characters(normalizer=None, pre=None, fallback=False, decoder=None, **options):
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=fallback, **options))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = P.Metaspace()
    train(t, 120, ["<unk>", "<s>", "</s>"])
    t.pre_tokenizer = pre
    if fallback:
        file = json.loads(t.to_str())
        vocab = file["model"]["vocab"]
        for byte in range(256):
            vocab["<0x%02X>" % byte] = len(vocab)
        t = Tokenizer.from_str(json.dumps(file))
    t.decoder = decoder or D.Sequence([D.Replace("\u2581", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    return t


def with_added(t):
    t.add_tokens([AddedToken("<lw>", lstrip=True, normalized=False), AddedToken("<rw>", rstrip=True, normalized=False),
                  AddedToken("<both>", lstrip=True, rstrip=True), AddedToken("word", single_word=True, normalized=False),
                  AddedToken("Time", single_word=True), AddedToken("aa", normalized=False),
                  AddedToken("aaab", normalized=False), AddedToken("  ", normalized=False), AddedToken("\u00e9")])
    t.add_special_tokens([AddedToken("<sp>", lstrip=True, rstrip=True), AddedToken("[X]", single_word=True)])
    return t


def edited(t, edit):
    file = json.loads(t.to_str())
    edit(file)
    return file


def split_on(pattern, behavior, invert=False):
    return P.Sequence([P.Split(pattern, behavior, invert), P.ByteLevel(add_prefix_space=False, use_regex=False)])


def templates(t):
    a, end = t.token_to_id("<|a|>"), t.token_to_id("<|end|>")
    t.post_processor = R.Sequence([R.ByteLevel(), R.TemplateProcessing(
        single="<|a|> $A <|end|> <|end|>", pair="$A $B", special_tokens=[("<|a|>", a), ("<|end|>", end)])])
    return t


def old_strings(file):
    file["model"]["merges"] = ["#version: 0.2"] + [" ".join(m) for m in file["model"]["merges"]]
    del file["model"]["type"]


def old_metaspace(file):
    file["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True, "str_rep": "\u2581"}
    file["decoder"] = {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}


def whole_words(file):
    file["model"]["ignore_merges"] = True
    vocab = file["model"]["vocab"]
    for word in ("zzz", "\u0120qzq", "\u0120world"):
        vocab[word] = len(vocab)


def marks_merge(file):
    vocab = file["model"]["vocab"]
    vocab["\u2581\u2581"] = len(vocab)
    file["model"]["merges"].insert(0, ["\u2581", "\u2581"])


def llama(**options):
    return characters(N.Sequence([N.Prepend("\u2581"), N.Replace(" ", "\u2581")]), fallback=True, fuse_unk=True, **options)


def wordpiece(normalizer, pre, cleanup=True, **options):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", **options))
    t.normalizer, t.pre_tokenizer = normalizer, P.Whitespace()
    r = random.Random(1)
    lines = [" ".join(r.choice(tokenizer_texts.WORDS) for _ in range(12)) + " \u00e9 \u4f60\u597d ." for _ in range(300)]
    prefix = options.get("continuing_subword_prefix", "##")
    t.train_from_iterator(lines, trainers.WordPieceTrainer(
        vocab_size=150, show_progress=False, continuing_subword_prefix=prefix,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.pre_tokenizer, t.decoder = pre, D.WordPiece(prefix=prefix, cleanup=cleanup)
    t.post_processor = R.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                            special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return t


def splits(patterns):
    return P.Sequence([P.Split(Regex(p), "isolated") for p in patterns]
                      + [P.ByteLevel(add_prefix_space=False, use_regex=False)])


def build():
    first = P.Metaspace(prepend_scheme="first")
    yield "gpt2", byte_level(pre=P.ByteLevel(add_prefix_space=True))
    yield "gpt2-old", edited(byte_level(merges=20), old_strings)
    yield "llama3", edited(byte_level(pre=split_on(Regex(CL100K), "isolated")), whole_words)
    yield "qwen", byte_level(N.NFC(), split_on(Regex(CL100K.replace("{1,3}", "")), "isolated"))
    yield "smollm", byte_level(pre=P.Sequence([P.Digits(True), P.ByteLevel(add_prefix_space=False)]))
    yield "digits-behind-bytes", byte_level(pre=P.Sequence([P.ByteLevel(add_prefix_space=False), P.Digits(False)]))
    yield "llama2", edited(llama(), marks_merge)
    yield "gemma", characters(N.Replace(" ", "\u2581"), P.Split(" ", "merged_with_previous"), True, fuse_unk=True,
                              decoder=D.Sequence([D.Replace("\u2581", " "), D.ByteFallback(), D.Fuse()]))
    yield "metaspace-first", characters(None, first, decoder=D.Metaspace(prepend_scheme="first"))
    yield "metaspace-whole", characters(N.Strip(), P.Metaspace(prepend_scheme="first", split=False), fuse_unk=True)
    yield "metaspace-split", characters(N.Lowercase(), P.Sequence([P.Split("e", "isolated"), first]))
    twice = P.Sequence([first, P.Split("e", "isolated"), P.Split("x", "isolated"), P.Metaspace(prepend_scheme="first")])
    yield "metaspace-twice", characters(N.Sequence([N.Replace("t", "zx"), N.Prepend("xy"), N.NFD()]), twice)
    yield "metaspace-old", edited(characters(None, P.Metaspace()), old_metaspace)
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        yield "split-" + behavior, byte_level(pre=split_on(Regex(r"[a-e]|\p{P}|\s*"), behavior), merges=40)
    yield "split-inverted", byte_level(pre=split_on(Regex(r"\p{Lu}+|\h{2}"), "merged_with_next", True), merges=40)
    yield "split-repeated", byte_level(pre=split_on(Regex(r"[ab]{2}{1,2}|\p{N}{1,3}+|(?:ef?)*+|\h\B|s$"), "isolated"))
    yield "nfkd", byte_level(N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase(), N.Strip(True, False)]))
    yield "nfkc", byte_level(N.Sequence([N.Replace(Regex(r"[^\S\n]+|\bin\b"), "-"), N.NFKC()]), merges=20)
    yield "nfd", byte_level(N.NFD(), merges=9)
    yield "added-bytes", with_added(byte_level(N.Sequence([N.NFC(), N.Lowercase()])))
    yield "added-llama", with_added(llama())
    yield "template", templates(byte_level(merges=9))
    suffix = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    suffix.pre_tokenizer, suffix.decoder = P.WhitespaceSplit(), D.BPEDecoder("</w>")
    train(suffix, 120, ["<unk>"], end_of_word_suffix="</w>")
    yield "suffix", suffix
    yield "qwen35", byte_level(N.NFC(), splits([QWEN35]))
    yield "o200k", byte_level(pre=splits([O200K]))
    yield "tekken", edited(byte_level(pre=splits([TEKKEN])), whole_words)
    yield "deepseek", byte_level(pre=splits(DEEPSEEK))
    yield "wordpiece-uncased", wordpiece(N.BertNormalizer(), P.BertPreTokenizer())
    yield "wordpiece-cased", wordpiece(N.BertNormalizer(lowercase=False), P.BertPreTokenizer(), max_input_chars_per_word=9)
    bert = N.Sequence([N.BertNormalizer(False, False, True, False), N.Replace("q", "  k")])
    yield "wordpiece-odd", wordpiece(bert, P.Sequence([P.WhitespaceSplit(), P.Punctuation("contiguous")]), False,
                                     continuing_subword_prefix="_")
    prefix = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", fuse_unk=True))
    prefix.pre_tokenizer = P.WhitespaceSplit()
    train(prefix, 120, ["<unk>"], continuing_subword_prefix="##")
    yield "prefix", prefix


def cases(t, name):
    r = random.Random(zlib.crc32(name.encode()))
    added = [token.content for token in t.get_added_tokens_decoder().values()]
    around = [form % ((token,) * form.count("%s")) for token in added
              for form in ("%s", "x  %s \n y%s%s  ", "a%sb %sc.", "%s%s e")] if len(added) > 5 else []
    for text in TEXTS + around + [tokenizer_texts.text(r, added, 13) for _ in range(20)]:
        t.encode_special_tokens = True
        plain = t.encode(text, add_special_tokens=False).ids
        t.encode_special_tokens = False
        ids = t.encode(text, add_special_tokens=False).ids
        case = {"text": text, "ids": ids, "plain_ids": plain, "processed_ids": t.encode(text).ids,
                "decoded": t.decode(ids, skip_special_tokens=False), "decoded_plain": t.decode(ids)}
        for name, same in (("plain_ids", "ids"), ("processed_ids", "ids"), ("decoded_plain", "decoded"),
                           ("decoded", "text")):
            if case[name] == case[same]:
                del case[name]
        yield case


def decodings(t, name):
    """Ids that no text becomes."""
    r = random.Random(zlib.crc32(name.encode()) + 1)
    for _ in range(25):
        ids = [r.randrange(t.get_vocab_size() + 3) for _ in range(r.choice([1, 2, 5, 12]))]
        yield {"ids": ids, "decoded": t.decode(ids, skip_special_tokens=False), "decoded_plain": t.decode(ids)}


def write_lines(path, lines):
    with open(path, "w") as out:
        for line in lines:
            if "\0" not in line.get("decoded", ""):
                out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    for name, made in build():
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "tokenizer.json")
        file = made if isinstance(made, dict) else json.loads(made.to_str())
        with open(path, "w") as out:
            json.dump(file, out, ensure_ascii=False, separators=(",", ":"))
            out.write("\n")
        t = Tokenizer.from_file(path)
        write_lines(os.path.join(folder, "cases.jsonl"), cases(t, name))
        write_lines(os.path.join(folder, "decodings.jsonl"), decodings(t, name))


if __name__ == "__main__":
    main()
