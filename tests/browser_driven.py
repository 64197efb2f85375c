"""A real browser (Chromium in PySide6) without a window: open a page, run JavaScript step by step, answer in JSON.

    python browser_driven.py URL PICTURE WIDTH HEIGHT < STEPS

STEPS is a JSON list of JavaScript; each runs as soon as the one before has given something other than false, 0, an empty
text or nothing: a step that waits asks again and again. Printed is what each gave; PICTURE is what the window shows last.
Exit code 3: no browser can be started here.
"""

from __future__ import annotations

import json
import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QTWEBENGINE_CHROMIUM_FLAGS", "--disable-gpu --no-sandbox")
_SECONDS = 60
try:
    from PySide6.QtCore import QTimer, QUrl  # pyright: ignore[reportMissingImports]
    from PySide6.QtWebEngineCore import QWebEnginePage  # pyright: ignore[reportMissingImports]
    from PySide6.QtWebEngineWidgets import QWebEngineView  # pyright: ignore[reportMissingImports]
    from PySide6.QtWidgets import QApplication  # pyright: ignore[reportMissingImports]
except ImportError:
    raise SystemExit(3) from None


class Page(QWebEnginePage):
    """A page whose errors are told."""

    def javaScriptConsoleMessage(self, level: object, message: str, line: int, source: str) -> None:  # noqa: N802
        """Say what the page complains of."""
        print(f"{source}:{line}: {message}", file=sys.stderr)


def main() -> None:
    """Drive the browser through the steps."""
    address, picture, width, height = sys.argv[1:]
    steps, values = json.load(sys.stdin), []
    app = QApplication([])
    view = QWebEngineView()
    page = Page(view)
    view.setPage(page)
    view.resize(int(width), int(height))
    view.show()

    def answered(value: object) -> None:
        if value not in (None, False, ""):
            values.append(value)
        if len(values) < len(steps):
            QTimer.singleShot(100, lambda: page.runJavaScript(steps[len(values)], 0, answered))
            return
        view.grab().save(picture)
        app.quit()

    view.loadFinished.connect(lambda _: page.runJavaScript(steps[0], 0, answered))
    QTimer.singleShot(1000 * _SECONDS, app.quit)
    view.load(QUrl(address))
    app.exec()
    print(json.dumps(values))


if __name__ == "__main__":
    main()
