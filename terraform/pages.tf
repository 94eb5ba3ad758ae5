# What the pages at / and /docs need beside their routes: docs/pages.md. Whether the package has them is local.has_pages,
# which `make package` writes.

# Anybody may fetch the pages' files, and the largest has 1.7 MB for a client that takes no compression. A browser fetches
# each once and keeps it for a year, so two a second serve a company, while a flood that lasts costs its owner 12 GB of
# traffic an hour, about 1 USD. The pages themselves are small, and stay below the limits of all methods.
resource "aws_api_gateway_method_settings" "pages_files" {
  # checkov:skip=CKV_AWS_225: as for the stage: the gateway's cache costs more than what it would save here; browsers keep the files.
  count = local.has_pages ? 1 : 0

  rest_api_id = aws_api_gateway_rest_api.rest_api.id
  stage_name  = aws_api_gateway_stage.live.stage_name
  method_path = "~1pages~1{name}/GET" # the provider passes it on as AWS has it: hashicorp/terraform-provider-aws#9738

  settings {
    # The settings of all methods do not reach a method that has its own.
    metrics_enabled        = var.method_metrics
    logging_level          = "ERROR"
    data_trace_enabled     = false
    caching_enabled        = false
    throttling_burst_limit = min(50, var.throttling_burst_limit)
    throttling_rate_limit  = min(2, var.throttling_rate_limit)
  }

  # Both change the stage, one after the other.
  depends_on = [aws_api_gateway_method_settings.all]
}
