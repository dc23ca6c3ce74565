# `make` alone prints this help. Every target sets up what it needs by itself.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
SECONDS_ := $(SECONDS)
BIN := .venv/bin
MODELS := models/face/face_detection_full_range.tflite models/object/ssd_mobilenetv2_openimages.tflite

.PHONY: help setup demo test check format bench wheel lock clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10
