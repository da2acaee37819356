"""Looks at a page in a browser without a screen: one picture a width, and every message of its console.

    pip install PySide6
    python3 benches/look.py PAGE OUT 1280 400
"""
import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QTWEBENGINE_CHROMIUM_FLAGS", "--no-sandbox --disable-gpu --force-device-scale-factor=1")
from PySide6.QtCore import QEventLoop, Qt, QTimer, QUrl
from PySide6.QtGui import QImage
from PySide6.QtWebEngineCore import QWebEnginePage
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication


class Page(QWebEnginePage):
    messages = []

    def javaScriptConsoleMessage(self, level, message, line, source):
        self.messages.append(f"{level.name}: {message} (line {line})")


def wait(milliseconds):
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def ask(page, script):
    loop, answer = QEventLoop(), []
    page.runJavaScript(script, lambda value: (answer.append(value), loop.quit()))
    loop.exec()
    return answer[0]


def look(view, page, path, width):
    view.resize(width, 800)
    view.show()
    loop = QEventLoop()
    page.loadFinished.connect(loop.quit)
    page.load(QUrl.fromLocalFile(str(Path(path).resolve())))
    loop.exec()
    wait(1500)
    height = int(ask(page, "document.documentElement.scrollHeight"))
    inner, wide = ask(page, "window.innerWidth"), ask(page, "document.documentElement.scrollWidth")
    view.resize(width, min(height, 12000))
    wait(6000)
    return view.grab(), height, inner, wide


def main():
    page_file, out, *widths = [a for a in sys.argv[1:] if not a.startswith("--")]
    app = QApplication(sys.argv[:1])
    for width in map(int, widths):
        view = QWebEngineView()
        page = Page(view)
        view.setPage(page)
        picture, height, inner, wide = look(view, page, page_file, width)
        name = f"{out}-{width}.png"
        # Few colours: a fifth of the size.
        flags = Qt.ImageConversionFlag.ThresholdDither | Qt.ImageConversionFlag.AvoidDither
        picture.toImage().convertToFormat(QImage.Format.Format_Indexed8, flags).save(name)
        print(f"{name}: {picture.width()} x {picture.height()}, page {wide} wide in {inner}, {height} high")
    print(f"console: {len(Page.messages)} messages")
    for message in Page.messages:
        print(" ", message)
    sys.stdout.flush()
    os._exit(1 if Page.messages else 0)


main()
