"""What is remembered of a reader, on its way through one call: asked for once at most, and only where it matters."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pytest

from cds_service.explanation import explanation
from cds_service.hooks.messages import read_request
from cds_service.pipeline import Answer, Service, answer
from cds_service.store.kept import Dismissal, Nothing, Offered, Shown, Suppressed
from tests.book import NEVER, service
from tests.hooks.living import FAULT, b12, bundle, observation, problem
from tests.hooks.test_checklist import everything  # noqa: F401
