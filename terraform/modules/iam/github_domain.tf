# What the two roles may do about a custom domain, where the stack has one: its name, its base paths, its DNS record.

locals {
  domain_arns = {
    for domain in try(var.github.custom_domain[*], []) : "domain" => {
      names    = "arn:${local.partition}:apigateway:${local.region}::/domainnames"
      name     = "arn:${local.partition}:apigateway:${local.region}::/domainnames/${domain.name}"
      mappings = "arn:${local.partition}:apigateway:${local.region}::/domainnames/${domain.name}/basepathmappings"
      zone     = [for id in domain.zone_id[*] : "arn:${local.partition}:route53:::hostedzone/${id}"]
    }
  }

  domain_read_statements = flatten([for arns in values(local.domain_arns) : concat(
    [{
      Sid      = "Domain"
      Effect   = "Allow"
      Action   = ["apigateway:GET"]
      Resource = [arns.name, "${arns.mappings}/*"]
    }],
    [for arn in var.github.custom_domain.certificate_arn[*] : {
      Sid      = "DomainsCertificate"
      Effect   = "Allow"
      Action   = ["acm:DescribeCertificate"]
      Resource = [arn]
    }],
    [for arn in arns.zone : {
      Sid      = "DomainsZone"
      Effect   = "Allow"
      Action   = ["route53:GetHostedZone", "route53:ListResourceRecordSets"]
      Resource = [arn]
    }],
  )])

  domain_deploy_statements = flatten([for arns in values(local.domain_arns) : concat(
    [{
      Sid      = "DomainsPath"
      Effect   = "Allow"
      Action   = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST"]
      Resource = [arns.mappings, "${arns.mappings}/*"]
    }],
    # Where another stack makes the domain, only its base paths are ours.
    [for _ in var.github.custom_domain.certificate_arn[*] : {
      Sid      = "DomainsName"
      Effect   = "Allow"
      Action   = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST"]
      Resource = [arns.names, arns.name]
    }],
    [for _ in var.github.custom_domain.certificate_arn[*] : {
      Sid      = "DomainsServiceRole"
      Effect   = "Allow"
      Action   = ["iam:CreateServiceLinkedRole"]
      Resource = ["arn:${local.partition}:iam::${local.account}:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"]
      Condition = {
        StringEquals = { "iam:AWSServiceName" = "ops.apigateway.amazonaws.com" }
      }
    }],
    [for arn in arns.zone : {
      Sid      = "DomainsRecord"
      Effect   = "Allow"
      Action   = ["route53:ChangeResourceRecordSets"]
      Resource = [arn]
      Condition = {
        "ForAllValues:StringEquals" = { "route53:ChangeResourceRecordSetsNormalizedRecordNames" = [var.github.custom_domain.name] }
      }
    }],
    [for _ in arns.zone : {
      Sid      = "DomainsRecordWait"
      Effect   = "Allow"
      Action   = ["route53:GetChange"]
      Resource = ["arn:${local.partition}:route53:::change/*"]
    }],
  )])
}
