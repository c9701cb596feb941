# SPDX-License-Identifier: MIT
# django_site - an application as Django's users write it, settings and views in one file.

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="only a test, and long enough to be one",
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.gzip.GZipMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    LOGGING_CONFIG=None,
)
django.setup()

import json as json_module  # noqa: E402

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import (  # noqa: E402
    FileResponse,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template import engines  # noqa: E402
from django.urls import path, reverse  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402
from django.views.static import serve  # noqa: E402

from served import FOLDER, facts  # noqa: E402

FORM = '<form method="post">{% csrf_token %}<input name="word"></form>{{ word }}'


def hello(request):
    return HttpResponse("Hello, World!\n", content_type="text/plain")


@csrf_exempt
def json(request):
    if request.method == "POST":
        return JsonResponse(json_module.loads(request.body))
    return JsonResponse({"name": "evy", "list": [1, 2, 3]})


@csrf_exempt
@require_POST
def upload(request):
    file = request.FILES["file"]
    return JsonResponse({"note": request.POST["note"], "filename": file.name, **facts(file.read())})


@csrf_exempt
def raw(request):
    return JsonResponse(facts(request.body))


def stream(request):
    return StreamingHttpResponse((f"line {number}\n" for number in range(5)), content_type="text/plain")


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"{request.session['visits']}\n")


def scheme(request):
    return HttpResponse(f"{request.scheme} {request.is_secure()} {request.build_absolute_uri('/hello')}")


@csrf_exempt
def go(request):
    response = HttpResponseRedirect(reverse("hello"))
    response.status_code = 303 if request.method == "POST" else 302
    return response


def echo(request, rest):
    return JsonResponse({"path": rest, "query": request.GET.getlist("q")})


def fail(request):
    raise RuntimeError("django failed on purpose")


def download(request):
    return FileResponse(open(FOLDER / "numbers.txt", "rb"), as_attachment=True)


def form(request):
    template = engines["django"].from_string(FORM)
    return HttpResponse(template.render({"word": request.POST.get("word")}, request))


urlpatterns = [
    path("hello", hello, name="hello"),
    path("json", json),
    path("upload", upload),
    path("raw", raw),
    path("stream", stream),
    path("visits", visits),
    path("static/<path:path>", serve, {"document_root": FOLDER}),
    path("scheme", scheme),
    path("go", go),
    path("echo/<path:rest>", echo),
    path("fail", fail),
    path("download", download),
    path("form", form),
]
application = get_wsgi_application()
