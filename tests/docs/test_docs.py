"""README.md, CHANGELOG.md and docs/*.md against the built binary: the flags
and files that they name exist, docs/operations.md has every flag of `serve`,
links lead somewhere, and README.md's defaults are true and its conversations
go as it shows them."""

import functools
import os
import pathlib
import re
import select
import subprocess
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADGATE = os.environ.get("HEADGATE", str(ROOT / "build/dev/bin/headgate"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md",
             ROOT / "web/client/README.md",
             ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md",
             *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = ("serve", "demo", "backend", "bench", "dial", "check",
            "explain", "probe", "publish", "replay", "sessions", "tap",
            "list", "describe", "gen ts")
TIMEOUT = 60.0

# Flags of other programs, where they have no short form.
OTHERS = {"--http2-prior-knowledge",  # curl
          "--wait",  # docker compose
          "--from-literal",  # kubectl
          "--rooms"}  # script/lint

# Other programs' flags have underscores, ours none.
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*(?![\w-])")

# "$ command", with its continuation lines, as an indented or fenced block has
# it. What follows, up to a blank line or the next command, is its output.
PROMPT = "$ "
BINARY = "build/release/bin/headgate"
DEMO_PORT = ":8080"


@functools.cache
def help_of(*command):
    return subprocess.run([HEADGATE, *command, "--help"], timeout=TIMEOUT,
                          check=True, stdout=subprocess.PIPE).stdout.decode()


def flags_of(*command):
    # Each stands at the beginning of its line, "-h,--help" the one exception.
    return set(re.findall(r"^ +(?:-\w,)?(--[a-z][a-z0-9-]*)",
                          help_of(*command), re.M))


def known_flags():
    return flags_of().union(*(flags_of(*command.split())
                              for command in COMMANDS))


def words(text):
    """A heading's letters, as GitHub makes a link's target of them."""
    text = re.sub(r"[`*]", "", text.strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def without_code(text):
    """Brackets in code are no links, and '#' in it no headings."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    text = re.sub(r"^(?: {4}|\t).*$", "", text, flags=re.M)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(document):
    text = re.sub(r"^```.*?^```", "", document.read_text(),
                  flags=re.M | re.S)
    return {words(heading)
            for heading in re.findall(r"^#+ (.*)$", text, re.M)}


def conversations(document):
    """(command, lines of output) of each prompt in the document."""
    found = []
    command = None
    for line in document.read_text().splitlines():
        line = line[4:] if line.startswith("    ") else line
        if line.startswith(PROMPT):
            command = [line[len(PROMPT):]]
            found.append((command, []))
        elif command and command[-1].endswith("\\"):
            command.append(line)
        elif not line.strip() or line.startswith("```"):
            command = None
        elif command:
            found[-1][1].append(line)
    return [("\n".join(command), output) for command, output in found]


class Demo:
    """`headgate demo` on a free port, from `with` to its end."""

    def __enter__(self):
        self._process = subprocess.Popen(
            [HEADGATE, "demo", "--listen", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
        self.port = self._port()
        return self

    def _port(self):
        end = time.monotonic() + TIMEOUT
        output = b""
        while not (found := re.search(rb"ws://127\.0\.0\.1:(\d+)\s", output)):
            left = end - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [],
                                        max(left, 0))
            more = ready and os.read(self._process.stdout.fileno(), 4096)
            if not more:
                self.__exit__()
                raise AssertionError(f"headgate demo does not listen: {output}")
            output += more
        return int(found[1])

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(TIMEOUT)
        self._process.stdout.close()


class DocumentsTest(unittest.TestCase):

    def check_each(self, check):
        """check(document, text) of each, all faults at once."""
        for document in DOCUMENTS:
            with self.subTest(document=str(document.relative_to(ROOT))):
                check(document, document.read_text())

    def test_flags_that_are_named_exist(self):
        known = known_flags()
        self.assertIn("--listen", known)

        def check(_, text):
            self.assertEqual(set(FLAG.findall(text)) - known - OTHERS, set())

        self.check_each(check)

    def test_operations_has_every_flag_of_serve(self):
        text = (ROOT / "docs/operations.md").read_text()
        self.assertEqual(
            flags_of("serve") - set(FLAG.findall(text)) - {"--help"}, set())

    # | what | `--flag` | default |
    def test_defaults_in_the_readme_are_true(self):
        rows = re.findall(r"^\|[^|]*\| `(--[\w-]+)` \| ([^|]*) \|$",
                          (ROOT / "README.md").read_text(), re.M)
        self.assertGreater(len(rows), 1)
        help = help_of("serve")
        for flag, default in rows:
            with self.subTest(flag=flag):
                self.assertRegex(help, rf"(?m)^ +{flag} \w+={default}(?!\S)")

    def test_links_lead_somewhere(self):
        def check(document, text):
            for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
                if re.match(r"[a-z]+:", link):
                    continue  # Of another site.
                path, _, anchor = link.partition("#")
                target = document
                if path:
                    target = (document.parent / path).resolve()
                self.assertTrue(target.exists(), f"{link} leads nowhere")
                self.assertTrue(target.is_relative_to(ROOT), link)
                if anchor:
                    self.assertIn(anchor, anchors(target), link)

        self.check_each(check)

    def test_files_that_are_named_exist(self):
        pattern = (r"`((?:script|gateway|backend|cmd|tests|tools|proto|docs)"
                   r"/[\w./-]+)`")

        def check(_, text):
            for name in re.findall(pattern, text):
                # A name without extension may stand for NAME.h and NAME.cc.
                self.assertTrue((ROOT / name).exists() or
                                list(ROOT.glob(name + ".*")),
                                f"there is no {name}")

        self.check_each(check)

    # Whoever pastes them should see what is printed there. A command that
    # waits for a person is left out.
    def test_conversations_of_the_readme_go_as_shown(self):
        shown = [(command, output)
                 for command, output in conversations(ROOT / "README.md")
                 if ("headgate dial" in command and
                     ("|" in command or "<" in command)) or
                 command.startswith("curl ")]
        self.assertGreater(len(shown), 1)
        with Demo() as demo:
            for command, output in shown:
                with self.subTest(command=command):
                    typed = command.replace(BINARY, f"'{HEADGATE}'")
                    if not command.startswith("curl "):
                        self.assertNotEqual(typed, command)
                    result = subprocess.run(
                        ["bash", "-c",
                         typed.replace(DEMO_PORT, f":{demo.port}")],
                        cwd=ROOT, timeout=TIMEOUT, stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                    # Of two processes either may print first.
                    self.assertCountEqual(
                        result.stdout.decode().splitlines(), output)


if __name__ == "__main__":
    unittest.main()
