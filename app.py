"""Composition root of the Lambda function: the Chalice app, its middleware and its routes."""

from chalicelib import cold_start, wiring
from chalicelib.api import status_routes
from chalicelib.api.middleware import known_routes, problem_details, readable_by_pages, request_log
from chalicelib.api.openai.routes import routes as openai_routes
from chalicelib.api.routes import answer_preflights, routes
from chalicelib.entry import Router
from chalicelib.observability import log

app = Router(app_name="lambda-router", configure_logs=False)
app.log = log  # type: ignore[assignment]  # Chalice logs here, so that the errors it catches become JSON too

# No response is binary. By default Chalice would compare each one with sixteen types, three times.
app.api.binary_types = []

# The first middleware registered is the outermost: it sees each response as all the others have left it.
app.register_middleware(request_log(app.routes), "http")
app.register_middleware(readable_by_pages(wiring.surface()), "http")
app.register_middleware(problem_details, "http")
app.register_middleware(known_routes(app.routes), "http")

app.register_blueprint(status_routes.routes)
app.register_blueprint(routes)
app.register_blueprint(openai_routes)
answer_preflights(app, wiring.surface())
status_routes.serve_pages(app, wiring.surface())

cold_start.begun()
wiring.prepare()
