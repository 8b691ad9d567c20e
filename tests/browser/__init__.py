"""Tests in a real Chromium."""

from __future__ import annotations
