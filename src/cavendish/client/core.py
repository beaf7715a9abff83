"""What the client does, as plans: how requests are put together, when they are repeated, how a task is waited for.

Three rules about money:

1. Every create has an idempotency key, the same in all its repeats.
2. A create whose fate is unknown is repeated only where the server says that it knows such keys (its `/openapi.json`
   names the header). Elsewhere the error is raised, with the key: a second task would be a second charge.
3. A time-out never creates anything. It names the task, which goes on.
"""

from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import quote, urlencode, urljoin

from cavendish.client.answers import read_answer
from cavendish.client.calls import CALL_SECONDS, Calls
from cavendish.client.effects import Pause, Plan, Send, Tell, work
from cavendish.client.errors import (
    BadArgument,
    ClientError,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    RateLimited,
    ServerError,
    TaskFailed,
    TimedOut,
    UnexpectedAnswer,
)
from cavendish.client.image import Image
from cavendish.client.references import ImageSource, LocalImage, is_url, load
from cavendish.client.requests import Wish, checked_idempotency_key, create_body, new_idempotency_key
from cavendish.client.retry import Deadline, polling
from cavendish.client.values import (
    Balance,
    Model,
    Task,
    TaskPage,
    Upload,
    read_balance,
    read_models,
    read_page,
    read_task,
    read_upload,
)

UPLOAD_SECONDS = 120.0
DOWNLOAD_SECONDS = 120.0
MOST_RESULT_BYTES = 256_000_000
WAIT_SECONDS = 30
WATCH_SECONDS = 1
"""How long the server is asked to wait when the caller wants to hear of states in between."""
MARGIN_SECONDS = 0.5
"""How long before the deadline a server that waits must have answered."""

Watch = Callable[[Task], object]


class Core(Calls):
    """Plans for what the client can do."""

    # Tasks

    def create(
        self, wish: Wish, images: Sequence[ImageSource], idempotency_key: str | None, deadline: Deadline
    ) -> Plan[str]:
        """The id of a new task. Raises ClientError; see its `idempotency_key`."""
        key = checked_idempotency_key(idempotency_key) if idempotency_key is not None else new_idempotency_key()
        create_body(wish, ())  # what is wrong with the words shows before anything is uploaded
        body = create_body(wish, (yield from self.references(images, deadline)))
        try:
            data = yield from self.call(
                "POST", "/tasks/create", deadline, body=body, headers={"idempotency-key": key}, seconds=UPLOAD_SECONDS
            )
        except ClientError:
            raise
        except BaseException as error:  # Ctrl-C, say: it may be on its way
            error.add_note(f"the task may have been created, with the idempotency key {key}")
            raise
        if not isinstance(data, dict) or not isinstance(data.get("taskId"), str):
            raise UnexpectedAnswer("the server accepted the task but its answer has no taskId")
        return str(data["taskId"])

    def query(self, task_id: str, deadline: Deadline, *, wait_seconds: int = 0, patient: bool = False) -> Plan[Task]:
        """The task as it is; after at most `wait_seconds`, where the server can wait."""
        path = f"/tasks/query/{quote(task_id, safe='')}" + (f"?wait={wait_seconds}" if wait_seconds else "")
        seconds = wait_seconds + CALL_SECONDS
        return read_task((yield from self.call("GET", path, deadline, seconds=seconds, patient=patient)))

    def wait(self, task_id: str, deadline: Deadline, watch: Watch | None = None) -> Plan[Task]:
        """The task once it has ended, well or not.

        Asks the server to wait. Servers that do not know `?wait=` answer at once, or 404: then it is asked at growing
        intervals. Whatever passes (a restart, a limit) is waited out until the deadline.

        Raises:
            TimedOut: with the task's id.
        """
        seen: str | None = None
        looks = 0
        waits = self.waits is not False
        while True:
            longest = WAIT_SECONDS if watch is None else WATCH_SECONDS if seen is not None else 0
            ask = max(0, int(min(longest, deadline.left() - MARGIN_SECONDS))) if waits else 0
            began = self.clock()
            try:
                task = yield from self.query(task_id, deadline, wait_seconds=ask, patient=True)
            except (NotFound, InvalidRequest):
                if not ask or self.waits:
                    raise
                waits = self.waits = False
                continue
            except (ConnectionFailed, RateLimited, ServerError, TimedOut) as error:
                raise _still_running(task_id, deadline, str(error)) from error
            if watch is not None and task.state != seen:
                seen = task.state
                yield Tell(partial(watch, task))
            if task.ended:
                return task
            if deadline.over():
                raise _still_running(task_id, deadline, f"it is {task.state}")
            if ask and self.clock() - began >= ask * 0.8:
                self.waits = True
                continue
            if waits and longest == 0:
                continue  # that was the first look
            if ask:
                waits = self.waits is True  # an early answer of a server that can wait: it is stopping, say
            looks += 1
            yield Pause(min(polling(looks, self.roll()), deadline.left()))

    def download(self, task: Task, deadline: Deadline) -> Plan[Image]:
        """The picture of a task that has ended.

        Raises:
            TaskFailed: it has none, because it failed.
        """
        if task.state == "fail":
            raise TaskFailed(task)
        if not task.result_urls:
            raise BadArgument(f"{task.id} is {task.state} and has no result yet; wait for it first")
        url = urljoin(self.root + "/", task.result_urls[0])
        headers = {"user-agent": self.headers["user-agent"]}  # never the key: a result may lie on another host
        request = Send("GET", url, headers, None, DOWNLOAD_SECONDS, MOST_RESULT_BYTES, follow_redirects=True)
        try:
            answer = yield from self.exchange(request, deadline, patient=False)
            if not 200 <= answer.status < 300:
                read_answer(answer, self.now)
        except ClientError as error:
            error.task_id = task.id
            raise
        return Image(answer.body, task)

    def generate(
        self, wish: Wish, images: Sequence[ImageSource], idempotency_key: str | None, deadline: Deadline
    ) -> Plan[Image]:
        """From the wish to its picture."""
        task_id = yield from self.create(wish, images, idempotency_key, deadline)
        try:
            task = yield from self.wait(task_id, deadline)
            return (yield from self.download(task, deadline))
        except ClientError as error:
            error.task_id = task_id
            raise
        except BaseException as error:  # Ctrl-C, say: what was paid for must not be lost
            error.add_note(f"the task goes on: {task_id}")
            raise

    def cancel(self, task_id: str, deadline: Deadline) -> Plan[Task]:
        """Give the task up."""
        return read_task((yield from self.call("POST", f"/tasks/cancel/{quote(task_id, safe='')}", deadline)))

    def page(
        self, state: str | None, model: str | None, limit: int, cursor: str | None, deadline: Deadline
    ) -> Plan[TaskPage]:
        """One page of the account's tasks, newest first."""
        given = {"state": state, "model": model, "limit": str(limit), "cursor": cursor}
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return read_page((yield from self.call("GET", f"/tasks?{query}", deadline)))

    # Account, catalogue, files

    def balance(self, deadline: Deadline) -> Plan[Balance]:
        """What can be spent."""
        return read_balance((yield from self.call("GET", "/user/balance", deadline)))

    def models(self, deadline: Deadline) -> Plan[list[Model]]:
        """The catalogue."""
        return read_models((yield from self.call("GET", "/models", deadline)))

    def upload(self, source: ImageSource, deadline: Deadline) -> Plan[Upload]:
        """Store a local image at the server. Raises NotFound where the server has no Files."""
        if is_url(source):
            raise BadArgument("a URL needs no upload: give it as it is")
        return (yield from self._upload((yield from work(partial(load, source))), deadline))

    def _upload(self, image: LocalImage, deadline: Deadline) -> Plan[Upload]:
        data = yield from self.call(
            "POST",
            "/files",
            deadline,
            body=image.data,
            headers={"content-type": image.header.media_type},
            seconds=UPLOAD_SECONDS,
        )
        return read_upload(data)

    def references(self, sources: Sequence[ImageSource], deadline: Deadline) -> Plan[list[str]]:
        """URLs for input images: of uploads where they are local, or the bytes as `data:` where there are no Files."""
        references: list[str] = []
        for source in sources:
            if isinstance(source, Upload):
                references.append(source.url)
            elif is_url(source):
                references.append(str(source))
            else:
                references.append((yield from self._reference((yield from work(partial(load, source))), deadline)))
        return references

    def _reference(self, image: LocalImage, deadline: Deadline) -> Plan[str]:
        """The URL of an upload, or the bytes themselves where the server has no Files."""
        if self.has_files is not False:
            try:
                uploaded = yield from self._upload(image, deadline)
            except (NotFound, UnexpectedAnswer) as refusal:
                if isinstance(refusal, UnexpectedAnswer) and refusal.code not in (405, 501):
                    raise
                self.has_files = False
            else:
                self.has_files = True
                return uploaded.url
        return (yield from work(image.data_uri))


def _still_running(task_id: str, deadline: Deadline, why: str) -> TimedOut:
    error = TimedOut(
        f"{task_id} has not ended within {deadline.seconds:g} s: {why}. It goes on; wait for it again instead of "
        f"creating another"
    )
    error.task_id = task_id
    return error
