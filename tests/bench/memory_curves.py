#!/usr/bin/env python3
"""Draws what memory_modes.sh has trained: the training loss of AdamW in f32 and of the memory
modes over 500 steps, and how far each mode is from f32 in percent; means of three seeds.

  tests/bench/memory_curves.py DIR > docs/memory-curves.svg

Colours are readable on light and dark; the background is the page's."""
import json
import math
import sys

SEEDS = (1, 2, 3)
MODES = (  # name, what the legend says, colour, dashes
    ("fp32", "f32 AdamW, 16 bytes", "#888888", ""),
    ("bf16+8-int8-bf16", "bf16+8, int8, bf16: 7.03 bytes", "#e0529c", ""),
    ("bf16-int8-bf16", "bf16, int8, bf16: 6.03 bytes", "#3f8fe0", ""),
    ("bf16+8", "master bf16+8", "#e0529c", "5 3"),
    ("bf16", "master bf16", "#3f8fe0", "5 3"),
    ("int8", "moments int8", "#e08a1e", "5 3"),
    ("gradient-bf16", "gradient sums bf16", "#3aa657", "5 3"),
)
STEPS, WINDOW = 500, 25
LEFT, WIDTH = 64, 660
UPPER, LOWER = (34, 250), (356, 190)  # top and height of the two plots


def losses(folder, mode):
    """Mean over seeds of the training loss, in windows of WINDOW steps: [(step, loss)]."""
    sums = [0.0] * STEPS
    for seed in SEEDS:
        with open(f"{folder}/runs/{mode}-{seed}/metrics.jsonl") as lines:
            rows = [row for row in map(json.loads, lines) if "grad_norm" in row]
        assert len(rows) == STEPS, f"{mode}, seed {seed}: {len(rows)} steps"
        for row in rows:
            sums[row["step"] - 1] += row["loss"] / len(SEEDS)
    return [(at + WINDOW / 2, sum(sums[at:at + WINDOW]) / WINDOW) for at in range(0, STEPS, WINDOW)]


def x_of(step):
    return LEFT + WIDTH * step / STEPS


def log_y(loss, low=0.1, high=5.0):
    return UPPER[0] + UPPER[1] * (1 - math.log(loss / low) / math.log(high / low))


def percent_y(percent, most=10.0):
    return LOWER[0] + LOWER[1] * (0.5 - percent / (2 * most))


def text(x, y, words, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{words}</text>'


def line(points, colour, dashes, width):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-dasharray="{dashes or "none"}" stroke-linejoin="round"/>')


def grid(box, ticks, y_of, format_tick, title):
    top, height = box
    out = [text(LEFT, top - 12, title, "start", 'font-weight="bold"')]
    for tick in ticks:
        y = y_of(tick)
        out.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        out.append(text(LEFT - 8, y + 4, format_tick(tick), "end"))
    for step in range(0, STEPS + 1, 100):
        x = x_of(step)
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + height}" class="grid"/>')
        out.append(text(x, top + height + 17, str(step)))
    return out


def legend():
    out = []
    for i, (_, words, colour, dashes) in enumerate(MODES):
        x, y = LEFT + 370, UPPER[0] + 22 + 20 * i
        out.append(line([(x, y), (x + 34, y)], colour, dashes, 2.2))
        out.append(text(x + 44, y + 4, words, "start"))
    return out


def main():
    folder = sys.argv[1]
    curves = {mode[0]: losses(folder, mode[0]) for mode in MODES}
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} 602" '
        'font-family="sans-serif" font-size="12" role="img" '
        'aria-label="Training loss of AdamW in f32 and of the memory modes over 500 steps">',
        '<style>text{fill:#333}.grid{stroke:#999;stroke-opacity:.3}.band{fill:#999;fill-opacity:.15}'
        '@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>',
    ]
    out += grid(UPPER, (0.1, 0.2, 0.5, 1, 2, 5), log_y, lambda t: f"{t:g}",
                "Training loss (logarithmic)")
    out += grid(LOWER, (-10, -5, 0, 5, 10), percent_y, lambda t: f"{t:+d} %" if t else "0",
                "Difference from f32 AdamW (grey band: 1 %)")
    out.append(f'<rect x="{LEFT}" y="{percent_y(1):.1f}" width="{WIDTH}" '
               f'height="{percent_y(-1) - percent_y(1):.1f}" class="band"/>')
    for top, height in (UPPER, LOWER):
        out.append(text(LEFT + WIDTH / 2, top + height + 36, "step"))
    for name, _, colour, dashes in reversed(MODES):
        out.append(line([(x_of(s), log_y(v)) for s, v in curves[name]], colour, dashes, 1.8))
        apart = [(x_of(s), percent_y(100 * (v / base[1] - 1)))
                 for (s, v), base in zip(curves[name], curves["fp32"])]
        out.append(line(apart, colour, dashes, 1.8))
    out += legend()
    print("\n".join(out + ["</svg>"]))


if __name__ == "__main__":
    main()
