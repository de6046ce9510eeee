"""Random texts that tokenizers find hard: scripts, spaces, digits, marks, control characters, and added
tokens, whole, cut and doubled."""

BLOCKS = [(0x20, 0x7E)] * 6 + [
    (0x00, 0x1F), (0x7F, 0x9F), (0xA0, 0xFF), (0x100, 0x24F), (0x250, 0x2AF), (0x300, 0x36F), (0x370, 0x3FF),
    (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x8C0, 0x8FF), (0x900, 0x97F), (0xE00, 0xE7F),
    (0x1100, 0x11FF), (0x180B, 0x180F), (0x1C80, 0x1CAF), (0x1DF0, 0x1EFF), (0x1F00, 0x1FFF), (0x2000, 0x206F),
    (0x2070, 0x209F), (0x20A0, 0x20CF), (0x2100, 0x218F), (0x2190, 0x22FF), (0x2460, 0x24FF), (0x2580, 0x2583),
    (0x3000, 0x303F), (0x3040, 0x30FF), (0x3100, 0x318F), (0x3200, 0x33FF), (0x4E00, 0x4FFF), (0xA7C0, 0xA7FF),
    (0xAC00, 0xAD00), (0xF900, 0xFAFF), (0xFB00, 0xFB4F), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x10D40, 0x10D90),
    (0x11380, 0x113E3), (0x11930, 0x11946), (0x16D40, 0x16D7A), (0x1D400, 0x1D7FF), (0x1E5D0, 0x1E5FF),
    (0x1F300, 0x1F6FF), (0x1F900, 0x1FAFF), (0x20000, 0x200FF), (0x2F800, 0x2FA1F), (0xE0000, 0xE007F)]
WORDS = ("the of and to in is that for it as was with be by on not he his but at are this have from or had an they "
         "which one you were all her she there would their we him been has when who will no more if out so up said "
         "what its about than into them can only other time new some could these two may first then do any like my "
         "now over such our man me even most made after also did many off before must well back through years where "
         "much your way down should because long each just state people Mr. don't does got united left number "
         "course until always away something fact water though less public put think almost hand enough").split()
SPACES = [" ", "\n", "\t", "\r\n", "\u3000", "\xa0", "\u0085", "\u2028"]
CONTRACTIONS = ["'s", "'t", "'Re", "'VE", "'ll", "'D", "'\u017f", "\u2019s", "n't", "'M"]
MARKS = [0x300, 0x301, 0x323, 0x327, 0x30A, 0x1161, 0x11A8, 0x93C, 0x9BE, 0x3099, 0x345, 0x11930, 0x8D4, 0x1DF6, 0x1DC0]
ODD = ["\U0001F469\u200d\U0001F469\u200d\U0001F467", "\U0001F1EB\U0001F1F7", "\U0001F44D\U0001F3FD", "\u2764\ufe0f",
       "\ufeff", "\u200b", "\u200d", "\u00ad", "\ufffd", "\uffff", "\u180e", "\u2581", "\u2581\u2581", "\u0120", "\u010a"]


def character(r):
    while True:
        code = r.randint(*r.choice(BLOCKS))
        if not 0xD800 <= code < 0xE000 and code != 0:
            return chr(code)


def fragment(r, added):
    kind = r.randrange(15)
    if kind < 4:
        return r.choice(WORDS) + r.choice([" ", " ", " ", "", ". ", ", ", "\n", "  "])
    if kind == 4:
        return r.choice(SPACES) * r.choice([1, 2, 3, 5, 17])
    if kind == 5:
        return "".join(r.choice("0123456789") for _ in range(r.choice([1, 2, 3, 4, 7, 30])))
    if kind in (6, 7) and added:
        token = r.choice(added)
        return r.choice([token, token, token[:-1], token[1:], token * 2, " " + token, token + "  ", token.upper()])
    if kind == 8:
        return "".join(r.choice("!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~") for _ in range(r.randint(1, 6)))
    if kind == 9:
        return r.choice(CONTRACTIONS)
    if kind == 10:
        low, high = r.choice(BLOCKS)
        codes = [r.randint(low, high) for _ in range(r.randint(1, 12))]
        return "".join(chr(c) for c in codes if c)
    if kind == 11:
        return "".join(character(r) for _ in range(r.randint(1, 6)))
    if kind == 12:
        return r.choice("abcdefghijklmnopqrstuvwxyz") * r.choice([1, 2, 10, 60])
    if kind == 13:
        base = r.choice(["e", "a", "o", "\u1100", "\uac00", "\u0915", "\u0995", "\u304c", "\U00011935"])
        return base + "".join(chr(r.choice(MARKS)) for _ in range(r.randint(1, 5)))
    return r.choice(ODD)


def text(r, added, longest=80):
    sizes = [n for n in (0, 1, 2, 3, 5, 8, 13, 20, 40, 80) if n <= longest]
    return "".join(fragment(r, added) for _ in range(r.choice(sizes)))
