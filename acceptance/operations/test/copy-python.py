"""Copies its input line to its log, byte for byte."""

import sys

sys.stdout.buffer.write(sys.stdin.buffer.read())
