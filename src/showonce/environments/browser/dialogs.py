"""What a person answers in the browser's own dialogs while recorded, as the inputs that answer a drawn one (`modal`).

Dialogs of scripts (alert, confirm, prompt, leave-page question): DevTools tells how each was closed. File choosers:
DevTools intercepts the page's request and names the field; the browser's own chooser is opened in its place at once, so
that nothing changes for the person and the page, and the field tells which files were chosen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from showonce.actions import MAX_TEXT
from showonce.environments.browser.documents import Documents, Target
from showonce.environments.browser.modal import CHOOSE, LEAVE, Modal

if TYPE_CHECKING:
    from playwright.async_api import CDPSession

_OPEN: Final = """function() {
  this.showPicker();
  return new Promise(done => {
    for (const kind of ['change', 'cancel']) this.addEventListener(kind, e => done(kind), {once: true});
  });
}"""
_FILE: Final = "function(number) { return this.files[number]; }"
_COUNT: Final = "function() { return this.webkitdirectory ? -1 : this.files.length; }"
_INTERCEPT: Final = "Page.setInterceptFileChooserDialog"


class Dialogs:
    """The native dialogs of one tab.

    put: takes a raw event without time; `modal` in it is the dialog as it stood before. lost: takes a sentence.
    """

    def __init__(
        self, documents: Documents, put: Callable[[dict[str, Any]], None], lost: Callable[[str], None], files: bool
    ) -> None:
        self._documents, self._put, self._lost, self._files = documents, put, lost, files
        self._open: Modal | None = None
        self._tasks: set[asyncio.Future[Any]] = set()
        documents.joined = self._joined

    async def _joined(self, target: Target) -> None:
        cdp = target.cdp
        cdp.on("Page.javascriptDialogOpening", self._opening)
        cdp.on("Page.javascriptDialogClosed", lambda sent: self._run(self._closed(sent)))
        if self._files:
            cdp.on("Page.fileChooserOpened", lambda sent: self._run(self._choose(cdp, sent)))
            await cdp.send(_INTERCEPT, {"enabled": True})

    def _run(self, work: Any) -> None:
        task: asyncio.Future[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    # ---------------------------------------------------------------------------------------------- dialogs of scripts

    def _opening(self, sent: dict[str, Any]) -> None:
        kind = sent["type"]
        message = sent["message"] or (LEAVE if kind == "beforeunload" else "")
        self._open, self._documents.halted = Modal(kind, message, sent.get("defaultPrompt", "")), True

    async def _closed(self, sent: dict[str, Any]) -> None:
        modal, self._open, self._documents.halted = self._open, None, False
        if modal is None:
            return
        text = str(sent.get("userInput", ""))
        hidden = modal.kind == "prompt" and bool(text) and await self._secret(modal.message)
        shown = "•" * len(text) if hidden else text
        for before, event in modal.answered(bool(sent["result"]), shown):
            secret = {"secret": True, "typed": text} if hidden and event["kind"] == "text" else {}
            self._put({**event, **secret, "apart": True, "modal": before})
        if hidden and sent["result"]:
            self._lost("a secret was typed into the page's prompt: a replay types secrets into fields alone")

    async def _secret(self, question: str) -> bool:
        """Say whether a prompt asks for a secret, by the rules for fields; yes when no document can tell."""
        for document in self._documents:
            with contextlib.suppress(Exception):
                return bool(await document.call("asks", question))
        return True

    # -------------------------------------------------------------------------------------------------- file choosers

    async def _choose(self, cdp: CDPSession, sent: dict[str, Any]) -> None:
        try:
            await self._choose_in(cdp, sent)
        except Exception:
            self._lost("a file chooser could not be followed: what was chosen in it is not in the recording")

    async def _choose_in(self, cdp: CDPSession, sent: dict[str, Any]) -> None:
        """Open the browser's own chooser and wait for its end."""
        document, node = self._documents.of_frame(sent["frameId"]), sent.get("backendNodeId")
        if document is None or node is None:
            self._lost("the page asked for a file in a way that the recorder cannot pass on: choose it in a file field")
            return
        try:
            asked = {"backendNodeId": node, "executionContextId": document.context}
            field = (await cdp.send("DOM.resolveNode", asked))["object"]["objectId"]
            await cdp.send(_INTERCEPT, {"enabled": False})
            opened = asyncio.ensure_future(_call(cdp, field, _OPEN, userGesture=True, awaitPromise=True))
            await _call(cdp, field, "function() {}")  # answered after the chooser was opened
        finally:
            await cdp.send(_INTERCEPT, {"enabled": True})
        several = sent["mode"] != "selectSingle"
        modal = Modal("file", CHOOSE[several], multiple=several)
        if (await opened).get("value") != "change":
            self._answer(modal, False)
            return
        await self._chosen(cdp, field, modal)

    async def _chosen(self, cdp: CDPSession, field: str, modal: Modal) -> None:
        count, paths = int((await _call(cdp, field, _COUNT))["value"]), list[str]()
        for number in range(count):
            file = (await _call(cdp, field, _FILE, number, returnByValue=False))["objectId"]
            paths.append((await cdp.send("DOM.getFileInfo", {"objectId": file}))["path"])
        text = "\n".join(paths)
        if not all(paths) or not paths or len(text) > MAX_TEXT:
            what = "a folder was" if count < 0 else f"{count} files were"
            self._lost(f"{what} chosen in the browser's own dialog: replay cannot choose that")
            return
        self._answer(modal, True, text)

    def _answer(self, modal: Modal, accepted: bool, text: str = "") -> None:
        for before, event in modal.answered(accepted, text):
            self._put({**event, "apart": True, "modal": before})


async def _call(cdp: CDPSession, target: str, function: str, *arguments: Any, **how: bool) -> dict[str, Any]:
    """Call a JavaScript function on an object. Raises RuntimeError: the function did."""
    given = [{"value": value} for value in arguments]
    asked = {"objectId": target, "functionDeclaration": function, "arguments": given, "returnByValue": True, **how}
    told = await cdp.send("Runtime.callFunctionOn", asked)
    if "exceptionDetails" in told:
        raise RuntimeError(told["exceptionDetails"].get("text", "a script failed"))
    result: dict[str, Any] = told["result"]
    return result
