"""What leaves the process: calls of APIs (`http:invoke`) and of models (`bedrock:invokeModel`), for state machines."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

from penstock.core.asl.services import http_calls, model_calls, problems
from penstock.core.asl.values import Json
from penstock.errors import Missing, Refused, Unavailable
from penstock.ports.chat_model import ChatEnd, ChatRequest, Message, TextDelta
from penstock.runtime.connections import Connections, Send
from penstock.runtime.machine_tasks import TaskCall
from penstock.runtime.models import Models, closable

JSON: Final = "application/json"


class OutsideCalls:
    """Makes them. A call that nobody answered, or that a model refused, fails the task; its Retry says what then."""

    def __init__(self, connections: Connections, send: Send, models: Models) -> None:
        self._connections = connections
        self._send = send
        self._models = models

    async def invoke_http(self, call: TaskCall, given: Mapping[str, Json]) -> Json:
        """Call an API, and return AWS's answer."""
        name = http_calls.connection_name(given)
        try:
            connection = await self._connections.authorised(name)
            request = http_calls.http_request(given, connection, call.idempotency_key)
            response = await self._send(request, http_calls.TIMEOUT_S)
        except Missing as error:
            raise problems.CallFailed(http_calls.NO_CONNECTION, str(error)) from error
        except Refused as error:
            raise problems.CallFailed(http_calls.NOT_AUTHORIZED, str(error)) from error
        except Unavailable as error:
            raise problems.CallFailed(http_calls.SOCKET, str(error)) from error
        return http_calls.http_answer(response)

    async def invoke_model(self, call: TaskCall, given: Mapping[str, Json]) -> Json:
        """Ask the app's model of that name, or its default one, in the form of the model family that the machine speaks."""
        if "Body" not in given or given.get("Output"):
            raise self._refused(call, "ValidationException", "Input and Output in S3 are not to be had here: give Body")
        for field in ("Accept", "ContentType"):
            if given.get(field, JSON) not in (JSON, "*/*"):
                raise self._refused(call, "ValidationException", f"{field} must be {JSON}")
        model_id = str(given["ModelId"])
        try:
            question = model_calls.question_of(model_id, given["Body"])
        except model_calls.NoQuestion as error:
            raise self._refused(call, "ValidationException", str(error)) from error
        try:
            answer = await self._answer(model_calls.model_name(model_id), question)
        except Unavailable as error:
            raise self._refused(call, "ModelTimeoutException", str(error), 408) from error
        except (Missing, Refused) as error:
            raise self._refused(call, "ModelErrorException", str(error), 424) from error
        return {"Body": model_calls.answer_of(question, answer, call.idempotency_key), "ContentType": JSON}

    async def _answer(self, name: str, question: model_calls.Question) -> model_calls.Answer:
        model = self._models.opened(name)
        messages = tuple(Message(role, content) for role, content in question.messages)
        request = ChatRequest(messages, temperature=question.temperature, tokens_max=question.tokens_max)
        parts: list[str] = []
        end = ChatEnd(model=model.name)
        async with aclosing(closable(model.stream(request))) as pieces:
            async for piece in pieces:
                if isinstance(piece, TextDelta):
                    parts.append(piece.text)
                else:
                    end = piece
        usage = end.usage
        return model_calls.Answer("".join(parts), end.model, end.reason, usage.tokens_in, usage.tokens_out)

    def _refused(self, call: TaskCall, code: str, message: str, status: int = 400) -> problems.CallFailed:
        request = problems.identity("request", call.idempotency_key)
        problem = problems.Problem(code=code, message=message, status=status, request_id=request)
        return problems.failure("bedrock", problem, sdk=call.resource.sdk)
