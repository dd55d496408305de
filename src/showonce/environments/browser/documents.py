"""The recorder's hook in every document of a tab: its installation, its messages, its heartbeat.

The script of `hooks` runs in a DevTools "isolated world": it shares the DOM with the page's scripts and nothing else.
It also runs where the page may run no scripts (sandbox, Content-Security-Policy). A frame in a process of its own has a
DevTools session of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from showonce.environments.browser.addresses import OPAQUE, origin_at, origin_of
from showonce.environments.browser.geometry import CONTENT, Offset, offset_of
from showonce.environments.clocks import MachineClock, OtherClock
from showonce.types import Region

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, Frame, Page

NAME: Final = "__showonce_told"  # of the binding
PATIENCE: Final = 1.0  # seconds within which a document answers; a later one is busy
_HAND_OVER: Final = "function(name) { if (window[name]) window[name](this); }"
_CONTENT_OF: Final = f"function() {{ return ({CONTENT})(this); }}"
_worlds: Final = itertools.count(1)  # a world is used by one recording: its hooks end with it


@dataclass(eq=False)
class Document:
    """A document with a hook. context: its world, as DevTools counts them; frame: DevTools' name of its frame."""

    target: Target
    context: int
    frame: str
    clock: OtherClock = field(default_factory=OtherClock)
    masks: list[Region] = field(default_factory=list)
    place: Offset | None = None  # of the outermost document that it may reach, when it was last asked for
    asked: asyncio.Future[Any] | None = None  # a question that is not answered yet
    origin: str = ""  # whose it is, see `types.Field`; asked for when a secret is typed in it

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the hook's world; None when it fails there."""
        asked = {"expression": expression, "contextId": self.context, "returnByValue": True}
        return (await self.target.cdp.send("Runtime.evaluate", asked))["result"].get("value")

    async def call(self, name: str, *arguments: Any) -> Any:
        """Return what a function of the hook returns; None where there is no hook."""
        given = ", ".join(json.dumps(value) for value in arguments)
        return await self.evaluate(f"window.{NAME}_{name} && {NAME}_{name}({given})")


@dataclass(eq=False)
class Target:
    """A DevTools session: of a tab, or of a frame with a process of its own. root: the outermost frame it can see."""

    cdp: CDPSession
    root: Frame
    documents: dict[int, Document] = field(default_factory=dict)
    blind: set[str] = field(default_factory=set)  # frames into which no hook could be put
    filling: asyncio.Future[Any] | None = None  # the look for frames without the hook that is under way


class Documents:
    """The documents of one tab. Runs on the owner's thread.

    told: takes a document and its hook's message. lost: takes a sentence about what cannot be seen; said: takes a
    sentence for the person that is no loss.
    """

    def __init__(
        self,
        page: Page,
        script: str,
        clock: MachineClock,
        told: Callable[[Document, dict[str, Any]], None],
        said: Callable[[str, bool], None],
    ) -> None:
        self.page, self._script, self._clock, self._told, self._said = page, script, clock, told, said
        self._world = f"showonce-{next(_worlds)}"
        self._targets: dict[Frame, Target] = {}
        self._places: dict[str, Offset] = {}  # of frames: a click may remove one before its place can be asked for
        self._joining = asyncio.Lock()
        self._tasks: set[asyncio.Future[Any]] = set()
        self.joined: Callable[[Target], Awaitable[None]] | None = None  # is told of each session
        self.halted = False  # a dialog stands open, so no document answers

    async def start(self, cdp: CDPSession) -> None:
        """Put the hook into all documents there are and will be. cdp: a session of the tab, used for nothing else."""
        for event in ("frameattached", "framenavigated"):
            self.page.on(event, self._came)
        await self._attach(Target(cdp, self.page.main_frame))
        for frame in self.page.frames[1:]:
            await self._join(frame)

    async def stop(self) -> None:
        """Take the listeners out of all documents and end the sessions."""
        for event in ("frameattached", "framenavigated"):
            self.page.remove_listener(event, self._came)
        ends = [document.call("ends") for document in self]
        with contextlib.suppress(Exception):
            await asyncio.wait_for(asyncio.gather(*ends, return_exceptions=True), PATIENCE)
        for target in [*self._targets.values()]:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(target.cdp.detach(), PATIENCE)
        for task in self._tasks:
            task.cancel()

    def of_frame(self, frame: str) -> Document | None:
        """Return the document in a frame, by DevTools' name of it."""
        return next((document for document in self if document.frame == frame), None)

    def __iter__(self) -> Iterator[Document]:
        return iter([document for target in self._targets.values() for document in target.documents.values()])

    # ------------------------------------------------------------------------------------------------- installation

    async def _attach(self, target: Target) -> None:
        cdp = target.cdp
        self._targets[target.root] = target

        def created(sent: dict[str, Any]) -> None:
            context = sent["context"]
            if context["name"] == self._world:
                frame = context["auxData"]["frameId"]
                document = Document(target, context["id"], frame, place=self._places.get(frame))
                target.documents[context["id"]] = document
                self._run(self._beat(document))

        def destroyed(sent: dict[str, Any]) -> None:
            target.documents.pop(sent["executionContextId"], None)

        def called(sent: dict[str, Any]) -> None:
            document = target.documents.get(sent["executionContextId"])
            if document is not None and sent["name"] == NAME:
                message = json.loads(sent["payload"])
                document.clock.arrived(message["now"], self._clock.now())
                self._told(document, message)

        cdp.on("Runtime.executionContextCreated", created)
        cdp.on("Runtime.executionContextDestroyed", destroyed)
        cdp.on("Runtime.executionContextsCleared", lambda _: target.documents.clear())
        cdp.on("Runtime.bindingCalled", called)
        await cdp.send("Page.enable")
        await cdp.send("Runtime.enable")
        await cdp.send("Runtime.addBinding", {"name": NAME, "executionContextName": self._world})
        everywhere = {"source": self._script, "worldName": self._world, "runImmediately": True}
        await cdp.send("Page.addScriptToEvaluateOnNewDocument", everywhere)
        if self.joined is not None:
            await self.joined(target)

    def _came(self, frame: Frame) -> None:
        if frame.parent_frame is not None:
            self._run(self._join(frame))

    async def _join(self, frame: Frame) -> None:
        """Attach to a frame if it has a process of its own."""
        async with self._joining:
            known = self._targets.get(frame)
            if known is not None:
                with contextlib.suppress(Exception):
                    await known.cdp.send("Browser.getVersion")  # answered by the browser while the session lives
                    return
                del self._targets[frame]
            with contextlib.suppress(Exception):
                await self._attach(Target(await self.page.context.new_cdp_session(frame), frame))

    # ---------------------------------------------------------------------------------------------------- heartbeat

    def beat(self) -> None:
        """Ask every document for its clock, bring lost listeners back, and put the hook where it is missing."""
        for frame in [frame for frame in self._targets if frame.is_detached()]:
            del self._targets[frame]
        for target in [*self._targets.values()]:
            if target.filling is None or target.filling.done():
                target.filling = self._run(self._fill(target))
        for document in self:
            self._run(self._beat(document))

    async def _beat(self, document: Document) -> None:
        if document.asked is not None:
            return
        asked = self._clock.now()
        document.asked = work = self._run(document.call("beats"))
        await asyncio.wait({work}, timeout=PATIENCE)
        if not work.done() and not self.halted:
            self._said("the page is busy; what is done on it meanwhile is recorded once it goes on", False)
        await asyncio.wait({work})
        document.asked = None
        if work.cancelled() or work.exception() is not None:
            return
        if not work.result():  # the world is there without the hook
            await document.evaluate(self._script)
        elif work.result()[1] != "function":
            bound = {"name": NAME, "executionContextName": self._world}
            await document.target.cdp.send("Runtime.removeBinding", {"name": NAME})
            await document.target.cdp.send("Runtime.addBinding", bound)
        else:
            document.clock.measure(asked, work.result()[0] / 1e3, self._clock.now())
            if not work.result()[2][5]:
                await self.place(document, work.result()[2][4])

    async def _fill(self, target: Target) -> None:
        """Make a world for each frame of the target that has none; tell of those where it cannot be made."""
        tree = (await target.cdp.send("Page.getFrameTree"))["frameTree"]
        known = {document.frame for document in target.documents.values()}
        for frame in _frames(tree):
            if frame["id"] in known or frame["id"] in target.blind:
                continue
            try:
                made = {"frameId": frame["id"], "worldName": self._world, "grantUniveralAccess": True}
                context = (await target.cdp.send("Page.createIsolatedWorld", made))["executionContextId"]
                asked = {"expression": self._script, "contextId": context}
                await target.cdp.send("Runtime.evaluate", asked)
            except Exception:
                now = {one["id"] for one in _frames((await target.cdp.send("Page.getFrameTree"))["frameTree"])}
                if frame["id"] in now:
                    target.blind.add(frame["id"])
                    where = frame["url"][:80] or "without an address"
                    self._said(f"the recorder cannot see into the frame {where}: what is done in it is lost", True)

    # ----------------------------------------------------------------------------------------------------- places

    async def place(self, document: Document, above: int) -> Offset | None:
        """Return where the frame that is `above` levels over a document's lies in the window, without a pinch.

        A frame that is gone, or a page that does not answer: where it was last. None: that was never seen.
        """
        with contextlib.suppress(Exception):
            place = await asyncio.wait_for(self._place(document, above), PATIENCE)
            document.place = self._places[document.frame] = place
        return document.place

    async def _place(self, document: Document, above: int) -> Offset:
        target, frame, offset = document.target, document.frame, Offset()
        tree = (await target.cdp.send("Page.getFrameTree"))["frameTree"]
        parents = {one["id"]: one["parentId"] for one in _frames(tree) if one["id"] != tree["frame"]["id"]}
        for _ in range(above):
            frame = parents[frame]
        while frame in parents:
            owner = await target.cdp.send("DOM.getFrameOwner", {"frameId": frame})
            frame = parents[frame]
            context = next(known.context for known in target.documents.values() if known.frame == frame)
            asked = {"backendNodeId": owner["backendNodeId"], "executionContextId": context}
            element = (await target.cdp.send("DOM.resolveNode", asked))["object"]["objectId"]
            call = {"objectId": element, "functionDeclaration": _CONTENT_OF, "returnByValue": True}
            box = (await target.cdp.send("Runtime.callFunctionOn", call))["result"]["value"]
            offset = offset.inside(Offset(*box))
        if frame != tree["frame"]["id"]:
            raise LookupError(frame)
        return offset.inside(await offset_of(target.root))

    async def origin(self, document: Document) -> str:
        """Return whose document it is (see `types.Field`), by the browser's own addresses."""
        if not document.origin:
            target, frame = document.target, document.frame
            document.origin = OPAQUE
            with contextlib.suppress(Exception):  # the frame is gone
                tree = (await target.cdp.send("Page.getFrameTree"))["frameTree"]
                frames = {one["id"]: one for one in _frames(tree)}
                while (found := origin_at(frames[frame]["url"])) is None and frame != tree["frame"]["id"]:
                    frame = frames[frame]["parentId"]
                document.origin = found or origin_of(target.root)
        return document.origin

    # ---------------------------------------------------------------------------------------------- closed shadow roots

    async def hand_over(self, document: Document, number: int) -> None:
        """Hand the shadow roots of a document to its hook, then answer the hook's question."""
        cdp = document.target.cdp
        found = await cdp.send("DOM.getDocument", {"depth": -1, "pierce": True})
        root = (await cdp.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        for frame, node in shadow_roots(found["root"], root):
            if frame != document.frame:
                continue
            with contextlib.suppress(Exception):  # the root may be gone by now
                asked = {"backendNodeId": node, "executionContextId": document.context}
                shadow = (await cdp.send("DOM.resolveNode", asked))["object"]["objectId"]
                given = {"objectId": shadow, "functionDeclaration": _HAND_OVER}
                await cdp.send("Runtime.callFunctionOn", {**given, "arguments": [{"value": f"{NAME}_root"}]})
        await cdp.send("DOM.disable")
        await document.call("looked", number)

    def _run(self, work: Any) -> asyncio.Future[Any]:
        task: asyncio.Future[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task


def _frames(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the frames of a `Page.FrameTree`."""
    yield tree["frame"]
    for child in tree.get("childFrames", ()):
        yield from _frames(child)


def shadow_roots(
    node: Mapping[str, Any], frame: str, kinds: tuple[str, ...] = ("open", "closed")
) -> Iterator[tuple[str, int]]:
    """Yield the frame and the DevTools id of each of the page's own shadow roots below a node of `DOM.getDocument`."""
    waiting = [(node, frame)]
    while waiting:
        node, frame = waiting.pop()
        if node.get("shadowRootType") in kinds:
            yield frame, node["backendNodeId"]
        waiting += [(child, frame) for child in (*node.get("children", ()), *node.get("shadowRoots", ()))]
        if "contentDocument" in node:
            waiting.append((node["contentDocument"], str(node.get("frameId", ""))))
