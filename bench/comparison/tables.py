"""Medians, ratios and Markdown."""

import statistics


class Results:
    """The runs of one measurement, by case and round."""

    def __init__(self, runs):
        self._rounds = {}
        for run in runs:
            rounds = self._rounds.setdefault((run.line, run.point), {})
            rounds[run.round] = run.result

    def median(self, line, point, metric):
        """Of metric(result) over the rounds; None without a run."""
        values = self._values(line, point, metric)
        return statistics.median(values.values()) if values else None

    def spread(self, line, point, metric):
        """The distance of the extremes, as a part of the median."""
        values = self._values(line, point, metric).values()
        if len(values) < 2 or not statistics.median(values):
            return None
        return (max(values) - min(values)) / statistics.median(values)

    def compare(self, function, one, other):
        """The median over the rounds of function(a, b). `one` and `other` are
        (line, point, metric); a and b come from the same round."""
        a, b = self._values(*one), self._values(*other)
        both = [function(a[number], b[number]) for number in a if number in b]
        return statistics.median(both) if both else None

    def ratio(self, one, other):
        return self.compare(lambda a, b: a / b if b else float("nan"),
                            one, other)

    def difference(self, one, other):
        return self.compare(lambda a, b: a - b, one, other)

    def _values(self, line, point, metric):
        return {number: metric(result) for number, result in
                self._rounds.get((line.name, point), {}).items()}


def number(value, digits=0, unit=""):
    """A dash for what was not measured."""
    return "–" if value is None else f"{value:,.{digits}f}{unit}"


def markdown(title, header, rows, notes=()):
    """The first column is text, all others are numbers."""
    widths = [max(len(cell) for cell in column)
              for column in zip(header, *rows)]

    def line(cells):
        aligned = [cell.ljust(width) if i == 0 else cell.rjust(width)
                   for i, (cell, width) in enumerate(zip(cells, widths))]
        return f"| {' | '.join(aligned)} |"

    rule = "|".join("-" * (width + 2) if i == 0 else
                    "-" * (width + 1) + ":"
                    for i, width in enumerate(widths))
    lines = [f"### {title}", "", line(header), f"|{rule}|"]
    lines += [line(row) for row in rows]
    for note in notes:
        lines += ["", note]
    return "\n".join(lines) + "\n"
