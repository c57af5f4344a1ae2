"""What the terminal shows: lines that stay, and one line below them that changes."""

import os
import shutil
import sys
import textwrap

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34",
          "magenta": "35", "cyan": "36"}
MARGIN = 21  # where the text of a line begins, behind time and source
QUIET_S = 2  # between lines of the rate when it cannot be written over


class Screen:
    def __init__(self):
        self.terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self.colours = self.terminal and "NO_COLOR" not in os.environ
        self.width = min(100, shutil.get_terminal_size((100, 24)).columns)
        self.below = ""
        self.shown_s = 0.0

    def style(self, text, *names):
        if not self.colours or not names:
            return text
        return f"\033[{';'.join(STYLES[name] for name in names)}m{text}\033[0m"

    def line(self, text=""):
        """A line that stays."""
        if self.terminal:
            sys.stdout.write("\r\033[K" + text + "\n" + self.below)
        else:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def paragraph(self, text):
        for line in textwrap.wrap(text, self.width, break_on_hyphens=False):
            self.line(line)

    def event(self, clock, source, colour, text, *more):
        """clock and who speaks in the margin, the text beside it, more of it dimmed below."""
        first, *rest = textwrap.wrap(text, self.width - MARGIN, break_on_hyphens=False) or [""]
        self.line(f"{self.style(clock, 'dim')}  {self.style(f'{source:<9}', colour, 'bold')}  {first}")
        for line in rest:
            self.line(" " * MARGIN + line)
        for text in more:
            for line in textwrap.wrap(text, self.width - MARGIN, subsequent_indent="  ",
                                      break_long_words=False, break_on_hyphens=False):
                self.line(" " * MARGIN + self.style(line, "dim"))

    def rate(self, now_s, text):
        """The line that changes; every two seconds a line of its own where there is no terminal."""
        if self.terminal:
            self.below = self.style(text[:self.width - 1], "cyan")
            sys.stdout.write("\r\033[K" + self.below)
            sys.stdout.flush()
        elif now_s - self.shown_s >= QUIET_S:
            self.shown_s = now_s
            self.line(text)

    def end_rate(self):
        if self.below:
            self.below = ""
            self.line()
