"""The figures as a picture: SVG, without any library."""

GREY, LIGHT, BLUE = "#8a8f98", "#c3c7cd", "#2463a8"


def bars(title, rows, top):
    """A group of horizontal bars; rows: (name, number, text, colour).  Lines, and where the next begins."""
    most = max(number for _, number, _, _ in rows) or 1
    out = [f'<text x="20" y="{top}" class="title">{title}</text>']
    for i, (name, number, text, colour) in enumerate(rows):
        y = top + 14 + 22 * i
        width = max(0, 420 * number / most)
        out.append(f'<text x="250" y="{y + 13}" text-anchor="end">{name}</text>'
                   f'<rect x="260" y="{y}" width="{width:.1f}" height="16" fill="{colour}"/>'
                   f'<text x="{266 + width:.1f}" y="{y + 13}">{text}</text>')
    return out, top + 14 + 22 * len(rows) + 30


def plot(result):
    groups = [("Events per CPU second", [
        (name, result[key]["events_per_cpu_s"], f"{result[key]['events_per_cpu_s']:,.0f}", colour)
        for name, key, colour in (("raw consumer", "raw", GREY), ("raw consumer + parse", "parse", LIGHT),
                                  ("engine", "engine", BLUE),
                                  ("with limits only", "limits_only", BLUE))])]
    for steady in result["steady"].values():
        groups.append((f"{steady['rate']:,} events/s: from the event to what follows from it, ms", [
            (f"{who} {what}", steady[who][key], f"{steady[who][key]:.1f}", colour)
            for what, key in (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"))
            for who, colour in (("echo", GREY), ("decision", BLUE))]))
    groups.append(("Rows a second into Postgres", [
        (name, number, f"{number:,.0f}", colour) for name, number, colour in (
            ("Postgres alone", result["postgres"]["rows_per_s"], GREY),
            ("engine, catching up", result["settled"]["rows_per_s"], BLUE))]))
    lines, y = [], 34
    for title, rows in groups:
        group, y = bars(title, rows, y)
        lines += group
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="780" height="{y - 10}" '
                      'font-family="sans-serif" font-size="13">',
                      "<style>.title{font-weight:bold;font-size:15px}</style>",
                      '<rect width="100%" height="100%" fill="white"/>', *lines, "</svg>", ""])
