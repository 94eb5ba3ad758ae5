variable "app_name" {
  description = "As in the stack itself."
  type        = string
  default     = "lambda-router"
  nullable    = false
}

variable "aws_region" {
  description = "As in the stack itself."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2,4}(-[a-z]+)+-\\d$", var.aws_region))
    error_message = "aws_region must be a region's code, such as eu-central-1."
  }

  validation {
    condition     = !can(regex("^(cn-|us-iso|eu-iso)", var.aws_region))
    error_message = "aws_region is in a partition where AWS has no Cognito user pools (AWS China and the isolated regions): there is no pool whose tokens could be checked."
  }
}

variable "github" {
  description = "The repository, the branch that plans, the environment that deploys, the user pool that is looked at before a deploy, and the stack's custom_domain; the ids come from `gh api repos/OWNER/REPOSITORY --jq '.owner.id, .id'`."
  type = object({
    owner             = string
    repository        = string
    owner_id          = optional(number)
    repository_id     = optional(number)
    branch            = optional(string, "main")
    environment       = string
    api_stage_name    = optional(string, "api")
    kms_key_arns      = optional(list(string), [])
    data_key_arns     = optional(list(string), [])
    vpc               = optional(bool, false)
    oidc_provider_arn = optional(string)
    user_pool_arn     = optional(string)
    custom_domain = optional(object({
      name            = string
      certificate_arn = optional(string)
      zone_id         = optional(string)
    }))
  })
  nullable = false
}

variable "stage_name" {
  description = "As in the stack itself."
  type        = string
  nullable    = false
}

variable "state_bucket" {
  description = "The bucket that holds the state."
  type        = string
  nullable    = false
}
