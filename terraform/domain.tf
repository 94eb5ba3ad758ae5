# A domain of your own before the stage: all of it is off unless custom_domain is set. docs/deploy.md says how.

locals {
  # Where callers are to go: written into SSM, and what verify, smoke, canary and drift ask.
  api_url = join("/", compact(concat(
    var.custom_domain == null ? [aws_api_gateway_stage.live.invoke_url] : [],
    [for mapping in aws_api_gateway_base_path_mapping.custom : "https://${mapping.domain_name}"],
    [for mapping in aws_api_gateway_base_path_mapping.custom : mapping.base_path],
  )))

  # A stage goes by the switch of the default endpoint once the API is deployed again.
  redeployed_besides = var.default_endpoint ? {} : { default_endpoint = "off" }
}

resource "aws_api_gateway_domain_name" "custom" {
  # Without a certificate the domain is another stack's, and only a base path of it is ours.
  for_each = { for domain in var.custom_domain[*] : domain.name => domain if domain.certificate_arn != null }

  domain_name              = each.key
  regional_certificate_arn = each.value.certificate_arn
  security_policy          = "TLS_1_2"

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_base_path_mapping" "custom" {
  count = var.custom_domain == null ? 0 : 1

  api_id      = aws_api_gateway_rest_api.rest_api.id
  stage_name  = aws_api_gateway_stage.live.stage_name
  domain_name = try(aws_api_gateway_domain_name.custom[var.custom_domain.name].domain_name, var.custom_domain.name)
  base_path   = var.custom_domain.base_path
}

resource "aws_route53_record" "custom" {
  for_each = { for domain in var.custom_domain[*] : domain.name => domain if domain.zone_id != null }

  zone_id = each.value.zone_id
  name    = each.key
  type    = "A"

  alias {
    name                   = aws_api_gateway_domain_name.custom[each.key].regional_domain_name
    zone_id                = aws_api_gateway_domain_name.custom[each.key].regional_zone_id
    evaluate_target_health = false
  }
}
