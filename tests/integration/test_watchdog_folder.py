"""The watchdog whose run folder goes away, hangs or is written to by others: it needs nothing of it."""

import json
import os
import shutil
import subprocess
import time

import pytest

from lab.watchdog import FAR, SECRETS, SOON, run, sanitized, webhook_request


def tell_page(run, *requests, level=1):
    """Holds the page in the watchdog's memory alone."""
    run.say(f"page {level} " + json.dumps({"requests": requests}))


def test_the_page_goes_out_of_memory_when_the_folder_is_gone(run, webhook):
    """Broken by: watchdog.c that hands no page over."""
    run.arm({1: 1.0}, SECRETS)
    tell_page(run, webhook_request(webhook))
    shutil.rmtree(run.path)
    request, = webhook.wait_for_requests(1)
    assert request.headers["X-Key"] == "hook-secret" and "can't be read" in request.json["text"]
    assert [run.hear(), run.hear(), run.hear()] == ["fired 1", "failed 1 script", "delivered 1 built-in"]


HANGS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
/* A disk that hangs: every write to the folder's files, once a file of that name is there. */
static void hang(void) { while (access(getenv("HANG_WHEN"), F_OK) == 0) usleep(10000); }
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) {
  ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
  hang();
  return real(fd, bytes, len, at);
}
"""


@pytest.fixture
def hanging_disk(tmp_path, monkeypatch):
    """(environment, how it begins): a disk whose writes hang, by a library that is loaded before libc."""
    if not sanitized():
        pytest.skip("a program that is linked in whole takes no library")
    (tmp_path / "hang.c").write_text(HANGS)
    library, mark = str(tmp_path / "hang.so"), tmp_path / "hangs"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, str(tmp_path / "hang.c"), "-ldl"], check=True)
    yield {"LD_PRELOAD": library, "HANG_WHEN": str(mark), "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}, mark.touch
    mark.unlink(missing_ok=True)


def test_a_disk_that_hangs_does_not_silence_it(run, webhook, hanging_disk):
    """Broken by: watchdog_disk_ask that waits for its answer without an end."""
    environment, begin = hanging_disk
    run.environment = environment
    run.arm({1: 1.5}, SECRETS)
    tell_page(run, webhook_request(webhook))
    begin()
    webhook.wait_for_requests(1, 12)
    assert [run.hear(), run.hear(), run.hear()] == ["fired 1", "failed 1 script", "delivered 1 built-in"]
    assert run.calls == [] and run.story() == ["armed"]


def test_an_acknowledgement_is_seen_within_a_second(run):
    """Broken by: a thread that looks only when it is asked."""
    run.arm({1: FAR, 2: FAR})
    run.let_go()
    began = time.monotonic()
    run.write("inbox/1-abort.json", "")
    run.wait_end(5)
    assert time.monotonic() - began < 4 and run.events[-1]["why"] == "abort"


def make_link(path):
    os.symlink("/etc/hostname", path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, make_link])
def test_what_is_no_file_of_ours_is_no_word(run, make):
    """Broken by: watchdog_stop_mark without is_word."""
    make(run.path + "/inbox/1-ack.json")
    make(run.path + "/inbox/1-1800-later.json")
    run.arm({1: SOON}, SECRETS)
    run.wait_for("fired 1")
