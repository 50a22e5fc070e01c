"""A stage's job watched as in the product: what is caught becomes the answer and ends the process."""

import json
import os
from pathlib import Path
from typing import Any

from whet_evaluator.worker import integrity


def watched(job: dict[str, Any]) -> None:
    answer = Path(job["output_dir"]) / "answer.json"

    def caught(reason: str, detail: str) -> None:
        answer.write_text(json.dumps({"caught": [reason, detail]}))
        os._exit(0)

    integrity.install(job, caught)
