"""Stands in for `gh` and for `curl` in the tests of the pipelines: answers as the APIs of GitHub and GitLab would, from what
is in FORGE/state.json, keeps there what it is told, and notes every call in FORGE/calls.log. Only what the scripts ask is
known; anything else is an error."""

import io
import json
import os
import re
import subprocess
import sys
import urllib.parse
import zipfile

FORGE = os.environ["FORGE"]
STATE = os.path.join(FORGE, "state.json")


def refuse(code, why):
    print(why, file=sys.stderr)
    sys.exit(code)


def write(value):
    with open(STATE, "w", encoding="utf-8") as file:
        json.dump(value, file)


def note(method, url):
    with open(os.path.join(FORGE, "calls.log"), "a", encoding="utf-8") as file:
        file.write(f"{method} {url}\n")


def pages(items, size):
    return [items[at : at + size] for at in range(0, len(items), size)] or [[]]


def archive(artifact):
    """A zip as `upload-artifact` makes it of one file; with what somebody may have put beside it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in artifact.get("beside", []):
            file.writestr(name, "not asked for")
        with open(os.path.join(FORGE, artifact["file"]), "rb") as kept:
            file.writestr(os.path.basename(artifact["file"]), kept.read())
    return buffer.getvalue()


def github(state, method, path, body):
    """The answer of api.github.com: a list of pages, or bytes."""
    path, _, query = path.partition("?")
    asked = dict(urllib.parse.parse_qsl(query))
    base = f"repos/{os.environ['GITHUB_REPOSITORY']}/"
    if not path.startswith(base):
        refuse(1, f"gh: Not Found (HTTP 404): {path}")
    path = path[len(base) :]
    if any(re.fullmatch(denied, f"{method} {path}") for denied in state.get("denied", [])):
        refuse(1, "gh: Resource not accessible by integration (HTTP 403)")
    comments = state["comments"]
    if match := re.fullmatch(r"issues/(\d+)/comments", path):
        if method == "POST":
            login = "github-actions[bot]"
            number = int(match[1])
            comments.append({"id": 100 + len(comments), "issue": number, "user": {"login": login}, "body": body})
            return [comments[-1]]
        return pages([comment for comment in comments if comment["issue"] == int(match[1])], 2)
    if (match := re.fullmatch(r"issues/comments/(\d+)", path)) and method == "PATCH":
        (comment,) = [comment for comment in comments if comment["id"] == int(match[1])]
        comment["body"] = body
        return [comment]
    if method == "GET" and (match := re.fullmatch(r"commits/([0-9a-f]+)/pulls", path)):
        return [state["pulls"].get(match[1], [])]
    shown = [{k: v for k, v in artifact.items() if k not in ("file", "beside")} for artifact in state["artifacts"]]
    if method == "GET" and path == "actions/artifacts":
        return [{"artifacts": [one for one in shown if one["name"] == asked["name"]]}]
    if method == "GET" and (match := re.fullmatch(r"actions/runs/(\d+)/artifacts", path)):
        of_run = [one for one in shown if one["workflow_run"]["id"] == int(match[1])]
        return [{"artifacts": [one for one in of_run if one["name"] == asked["name"]]}]
    if method == "GET" and (match := re.fullmatch(r"actions/runs/(\d+)", path)):
        return [state["runs"][match[1]]]
    if method == "GET" and (match := re.fullmatch(r"actions/artifacts/(\d+)/zip", path)):
        (artifact,) = [one for one in state["artifacts"] if one["id"] == int(match[1])]
        return archive(artifact)
    return refuse(1, f"gh: Not Found (HTTP 404): {method} {path}")


def gh(words):
    """`gh api`, as far as it is used."""
    if words[:1] != ["api"] or not os.environ.get("GH_TOKEN"):
        refuse(4, "gh: To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN environment variable.")
    method, path, body, jq, silent, paginate = "GET", None, None, None, False, False
    words = iter(words[1:])
    for word in words:
        if word == "--paginate":
            paginate = True
        elif word == "--silent":
            silent = True
        elif word == "--method":
            method = next(words)
        elif word == "--jq":
            jq = next(words)
        elif word == "-F":
            key, _, value = next(words).partition("=")
            if key != "body" or not value.startswith("@"):
                refuse(1, f"gh: no field {key}")
            with open(value[1:], encoding="utf-8") as file:
                body = file.read()
        elif path is None and not word.startswith("-"):
            path = word
        else:
            refuse(1, f"gh: unknown argument {word}")
    note(method, path)
    with open(STATE, encoding="utf-8") as file:
        state = json.load(file)
    if body is not None and len(body) > 65536:
        refuse(1, "gh: Validation Failed (HTTP 422): body is too long (maximum is 65536 characters)")
    answer = github(state, method, path, body)
    write(state)
    if silent:
        return
    if isinstance(answer, bytes):
        sys.stdout.buffer.write(answer)
        return
    for page in answer if paginate else answer[:1]:
        text = json.dumps(page)
        if jq is None:
            print(text)
        else:
            subprocess.run(["jq", "-r", jq], input=text, text=True, check=True)


def gitlab(state, method, path, body, asked):
    """The answer of a GitLab's API below /api/v4: a value, or the path of a file."""
    if path == "user":
        return state["user"]
    base = f"projects/{os.environ['CI_PROJECT_ID']}/"
    if not path.startswith(base):
        refuse(22, f"curl: (22) The requested URL returned error: 404: {path}")
    path = path[len(base) :]
    if any(re.fullmatch(denied, f"{method} {path}") for denied in state.get("denied", [])):
        refuse(22, "curl: (22) The requested URL returned error: 403")
    notes = state["notes"]
    if match := re.fullmatch(r"merge_requests/(\d+)/notes", path):
        if method == "POST":
            notes.append({"id": 100 + len(notes), "author": state["user"], "body": body})
            return notes[-1]
        at = int(asked["page"]) - 1
        split = pages(notes, 2)
        return split[at] if at < len(split) else []
    if (match := re.fullmatch(r"merge_requests/(\d+)/notes/(\d+)", path)) and method == "PUT":
        (found,) = [one for one in notes if one["id"] == int(match[2])]
        found["body"] = body
        return found
    if match := re.fullmatch(r"repository/commits/([0-9a-f]+)/merge_requests", path):
        return state["merge_requests"].get(match[1], [])
    if match := re.fullmatch(r"merge_requests/(\d+)", path):
        return state["merge_request"]
    if match := re.fullmatch(r"pipelines/(\d+)/jobs", path):
        return state["jobs"].get(match[1], [])
    if match := re.fullmatch(r"jobs/(\d+)/artifacts/(.*)", path):
        return os.path.join(FORGE, "artifacts", match[1], match[2])
    return refuse(22, f"curl: (22) The requested URL returned error: 404: {method} {path}")


def curl(words):
    """`curl`, as far as it is used."""
    method, url, body, output = "GET", None, None, None
    token = None
    words = iter(words)
    for word in words:
        if word == "--config" and next(words) == "-":
            token = re.fullmatch(r'header = "PRIVATE-TOKEN: (.*)"\n', sys.stdin.read())[1]
        elif word in ("--silent", "--show-error", "--fail"):
            pass
        elif word == "--retry":
            next(words)
        elif word == "--output":
            output = next(words)
        elif word == "--request":
            method = next(words)
        elif word == "--data-urlencode":
            key, _, name = next(words).partition("@")
            if key != "body":
                refuse(2, f"curl: no field {key}")
            with open(name, encoding="utf-8") as file:
                body = file.read()
        elif url is None and not word.startswith("-"):
            url = word
        else:
            refuse(2, f"curl: unknown option {word}")
    server = os.environ["CI_API_V4_URL"] + "/"
    if not url.startswith(server):
        refuse(6, f"curl: (6) Could not resolve host: {url}")
    path, _, query = url[len(server) :].partition("?")
    note(method, path)
    with open(STATE, encoding="utf-8") as file:
        state = json.load(file)
    if token != state["token"]:
        refuse(22, "curl: (22) The requested URL returned error: 401")
    answer = gitlab(state, method, path, body, dict(urllib.parse.parse_qsl(query)))
    write(state)
    if isinstance(answer, str):
        with open(answer, encoding="utf-8") as file:
            text = file.read()
    else:
        text = json.dumps(answer)
    if output is None:
        sys.stdout.write(text)


{"gh": gh, "curl": curl}[os.path.basename(sys.argv[0])](sys.argv[1:])
