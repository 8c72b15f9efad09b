# What every build for Lambda shares: the Python that runs the build, and the Python that Lambda runs.
# `sam build` starts each Makefile in a scratch copy of its folder, so paths begin at this file.

REPOSITORY := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))..)
PYTHON := $(or $(REMORA_PYTHON),python3)
RUNTIME := $(shell sed -n 's/^ *Runtime: python\([0-9.]*\)$$/\1/p' "$(REPOSITORY)/template.yaml")

# $(call copy-package,<package>,<folder it goes to>,<where that is in Lambda>,<subfolders to leave out>)
define copy-package
mkdir -p "$(2)"
tar -cf - --exclude=__pycache__ $(foreach folder,$(4),--exclude="$(1)/$(folder)") $(1) | tar -C "$(2)" -xf -
$(PYTHON) "$(REPOSITORY)/scripts/compile_bytecode.py" --python-version $(RUNTIME) --runs-in $(3) "$(2)"
endef
