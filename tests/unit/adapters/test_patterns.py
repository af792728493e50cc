"""Promises of the patterns (R2.b, R2.c; attack cases C.8, C.9 and G). `python tests/unit/adapters/test_patterns.py` prints
the rates."""

import base64
import binascii
import codecs
import random
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from navicert.adapters.detect import checksums, confirm, disguises, patterns, rules
from navicert.adapters.detect.patterns import TEXT_LIMIT, ParameterPatterns, PatternClassifier
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.context import SessionContext
from navicert.model.labels import NOTHING, Labels, Level
from navicert.model.signals import Finding
