"""A window that shows a camera's annotated frames, with Tk: the headless build of OpenCV has no windows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facet.camera.errors import OutputError


class Window:
    """A window on this machine's screen. It is closed with q, Escape, or its close button.

    Args:
        title: title of the window.

    Raises:
        OutputError: there is no screen, or this Python has no Tk.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            raise OutputError(
                "--show needs Tk, which this Python lacks (on Debian and Ubuntu: apt-get install python3-tk): "
                "install it, or write a video with --out instead"
            ) from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise OutputError(
                "--show needs a screen, and there is none here: write a video with --out instead"
            ) from error
        self._photo_image = ImageTk.PhotoImage
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._is_open = True
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self.close)
        for key in ("<q>", "<Escape>"):
            self._root.bind(key, lambda _: self.close())

    def show(self, picture: NDArray[np.uint8]) -> bool:
        """Show a picture, BGR ``(h, w, 3)``; false once the window is closed."""
        if self._is_open:
            rgb = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            self._shown = self._photo_image(rgb, master=self._root)  # Tk shows it only while it is referenced
            self._label.configure(image=self._shown)
            self._root.update()
        return self._is_open

    def close(self) -> None:
        """Close the window."""
        if self._is_open:
            self._is_open = False
            self._root.destroy()
