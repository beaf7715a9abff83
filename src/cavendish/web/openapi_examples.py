"""Examples for the API reference. A test holds each against the schema that it stands beside."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_ID = "task_gemini-2.5-flash-image_1795377919597_56545e5f"
_URL = "https://images.example.com/results/c4ef15edad4bae39560bc4290cd94c69.png"
_TASK: Mapping[str, Any] = MappingProxyType(
    {
        "taskId": _ID,
        "model": "google/nano-banana",
        "state": "success",
        "resultJson": f'{{"resultUrls":["{_URL}"]}}',
        "resultUrls": [_URL],
        "failCode": None,
        "failMsg": None,
        "createTime": 1795377919597,
        "completeTime": 1795377921630,
        "costTime": 2033,
        "creditsConsumed": 3,
        "param": '{"model":"google/nano-banana","input":{"prompt":"a lighthouse on a cliff at dusk"}}',
    }
)
_CALLBACK: Mapping[str, Any] = MappingProxyType(
    {
        "taskId": _ID,
        "url": "https://your-domain.com/api/callback",
        "webhookId": "msg_2b7e151628aed2a6abf7158809cf4f3c",
        "state": "delivered",
        "nextAttemptTime": None,
        "attempts": [{"time": 1795377921655, "milliseconds": 84, "status": 200, "error": None, "answer": "ok"}],
    }
)

DATA_EXAMPLES: Mapping[str, Any] = MappingProxyType(
    {
        "Created": {"taskId": _ID},
        "TaskData": _TASK,
        "TaskListed": {"tasks": [_TASK], "cursor": None},
        "Uploaded": {
            "url": "https://images.example.com/files/cavendish-9f86d081884c7d659a2feaa0c55ad015.jpeg",
            "bytes": 482113,
            "width": 1600,
            "height": 1200,
            "format": "jpeg",
            "expiresTime": 1795637119597,
        },
        "CallbackShown": _CALLBACK,
        "EnginesShown": {
            "workers": [
                {
                    "worker": "node-1:7",
                    "version": "0.1.0",
                    "startedMs": 1795379277000,
                    "slots": 64,
                    "held": 3,
                    "engine": {
                        "name": "gemini",
                        "models": [],
                        "running": 3,
                        "parallel": 8,
                        "waiting": 0,
                        "projects": [],
                        "breakers": [],
                        "retired": [],
                        "engines": [],
                    },
                    "reportedMs": 1795388457000,
                    "silentSeconds": 1,
                }
            ]
        },
        "SecretShown": {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        "BalanceShown": {"balance": 986, "held": 3},
        "PromptAdvice": {
            "language": "en",
            "kind": "create",
            "parts": {
                "subject": ["a red fox in the snow"],
                "style": [],
                "light": [],
                "detail": ["red", "snow"],
                "composition": ["close-up"],
                "quality": ["8K"],
            },
            "missing": [
                {
                    "part": "style",
                    "advice": "Name a style: photorealistic, illustration, 3D render, watercolor …",
                }
            ],
            "added": ["realistic photography", "soft diffuse light"],
            "improved": "close-up of a red fox in the snow, 8K, realistic photography, soft diffuse light",
        },
        "Alive": {"status": "ok"},
        "Readiness": {"status": "ok", "checks": {"database": "ok", "api": "ok", "worker": "ok"}},
    }
)
"""By the type's name."""

REQUEST_EXAMPLES: Mapping[str, Any] = MappingProxyType(
    {
        "google/nano-banana": {
            "model": "google/nano-banana",
            "input": {"prompt": "a lighthouse on a cliff at dusk", "image_size": "16:9", "output_format": "png"},
        },
        "google/nano-banana-pro": {
            "model": "google/nano-banana-pro",
            "input": {
                "prompt": "a lighthouse on a cliff at dusk, golden hour, wide view",
                "image_input": [],
                "aspect_ratio": "16:9",
                "resolution": "2k",
            },
        },
        "google/nano-banana-edit": {
            "model": "google/nano-banana-edit",
            "input": {
                "prompt": "replace the sky with a starry night",
                "image_urls": ["https://images.example.com/results/c4ef15edad4bae39560bc4290cd94c69.png"],
            },
        },
        "improve": {"prompt": "close-up of a red fox in the snow, 8K"},
    }
)
"""By the model's id, or the body's name."""

ERROR_EXAMPLES: Mapping[int, str] = MappingProxyType(
    {
        401: "Send your API key in the header: Authorization: Bearer sk-…",
        402: "Insufficient credits: this task needs 3, 2 available (积分不足，需要 3 积分，当前余额 2)",
        404: 'There is no task "task_gemini-2.5-flash-image_1795377919597_00000000"',
        422: "input.prompt: must not be blank; input.image_size: must be one of 1:1, 9:16, 16:9, 3:4, 4:3, 3:2, 2:3, "
        '5:4, 4:5, 21:9, auto; got "2:5"',
        429: "This key may create 600 tasks per minute; try again in 17 s",
        500: "The server failed. A create may be sent again with the same Idempotency-Key: it never counts twice. "
        "Tell the operator this id: 4f1c2a9be07d",
    }
)

HEADER_EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "Retry-After": "17",
        "RateLimit-Policy": '"creates";q=600;w=60',
        "RateLimit": '"creates";r=0;t=17',
        "WWW-Authenticate": 'Bearer realm="cavendish"',
        "Allow": "POST",
        "Idempotent-Replayed": "true",
        "ETag": '"c4ef15edad4bae39560bc4290cd94c69"',
        "Content-Range": "bytes 0-1023/215809",
    }
)
