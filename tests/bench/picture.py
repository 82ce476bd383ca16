"""Pictures in SVG: plain bars and columns, which a browser shows in the colours of its page, light or dark."""

from html import escape

WIDTH, MARGIN = 860, 16
LABELS, FIGURES = 270, 70
"""Pixels for what stands left and right of a bar."""
BAR, GAP = 18, 8
PLOT_HEIGHT = 120

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .small { font-size: 11px }
  .ours { fill: #0969da }
  .others { fill: #8c959f }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #58a6ff } .others { fill: #6e7681 } }
"""


def bars(title, rows):
    """One bar a row: its label, its length, and whether it is ours."""
    scale = (WIDTH - 2 * MARGIN - LABELS - FIGURES) / (max(value for _, value, _ in rows) or 1)
    marks, top = [], 48
    for label, value, ours in rows:
        middle = top + BAR - 5
        marks += [text(MARGIN + LABELS - 8, middle, label, anchor="end"),
                  rectangle(MARGIN + LABELS, top, max(value * scale, 1), BAR, ours),
                  text(MARGIN + LABELS + value * scale + 6, middle, figure(value))]
        top += BAR + GAP
    return document(title, top + MARGIN - GAP, marks)


def columns(title, groups):
    """A group of columns for each thing that grows: its name, and the columns' labels and heights."""
    # Where all of them are nothing, as the CPU time of a very short run may be, there is a line of nothing.
    highest = max(value for _, columns in groups for _, value in columns) or 1
    count = sum(len(columns) for _, columns in groups) + len(groups) - 1
    step = (WIDTH - 2 * MARGIN) / count
    marks, left, bottom = [], MARGIN, 66 + PLOT_HEIGHT
    for name, columns in groups:
        marks.append(text(left + step * len(columns) / 2, bottom + 36, name, anchor="middle"))
        for label, value in columns:
            height = max(value / highest * PLOT_HEIGHT, 1)
            marks += [rectangle(left + step * 0.12, bottom - height, step * 0.76, height, ours=True),
                      text(left + step / 2, bottom - height - 4, figure(value), anchor="middle", kind="small"),
                      text(left + step / 2, bottom + 16, label, anchor="middle", kind="small")]
            left += step
        left += step
    return document(title, bottom + 36 + MARGIN, marks)


def document(title, height, marks):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        text(MARGIN, 26, title, kind="title"),
        *marks,
        "</svg>\n",
    ])


def rectangle(x, y, width, height, ours):
    kind = "ours" if ours else "others"
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'


def text(x, y, words, anchor="start", kind=None):
    kind = f' class="{kind}"' if kind else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
