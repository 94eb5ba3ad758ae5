variable "github" {
  description = "Makes the roles for GitHub Actions: the repository and the two ids that newer tokens carry, the branch that plans, the environment that deploys, where the state lies, the tags that everything of the stack has and nothing else, the user pool that is looked at before a deploy, and the stack's custom domain. Null: no such roles."
  type = object({
    owner             = string
    repository        = string
    owner_id          = optional(number)
    repository_id     = optional(number)
    branch            = optional(string, "main")
    environment       = string
    state_bucket      = string
    state_key         = string
    outputs_prefix    = string
    own_tags          = map(string)
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
  default = null

  validation {
    condition     = var.github == null ? true : can(regex("^[A-Za-z0-9-]+$", var.github.owner)) && can(regex("^[A-Za-z0-9._-]+$", var.github.repository))
    error_message = "github.owner and github.repository must be the two halves of owner/repository, without wildcards."
  }

  validation {
    condition     = var.github == null ? true : can(regex("^[A-Za-z0-9._/-]+$", var.github.branch)) && can(regex("^[A-Za-z0-9._-]+$", var.github.environment))
    error_message = "github.branch and github.environment must be plain names, without wildcards."
  }

  validation {
    condition     = var.github == null ? true : (var.github.owner_id == null) == (var.github.repository_id == null)
    error_message = "Set both of github.owner_id and github.repository_id, or neither."
  }

  validation {
    condition     = try(var.github.user_pool_arn, null) == null ? true : can(regex("^arn:[a-z-]+:cognito-idp:[a-z0-9-]+:[0-9]{12}:userpool/[A-Za-z0-9_-]+$", var.github.user_pool_arn))
    error_message = "github.user_pool_arn must be the exact ARN of a user pool, such as arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123."
  }

  validation {
    condition     = var.github == null ? true : length(var.github.own_tags) >= 1
    error_message = "github.own_tags must have at least one tag: without any, the deploy role could change every API of the account."
  }

  validation {
    condition     = var.github == null ? true : can(regex("^(/[A-Za-z0-9_.-]+)+$", var.github.outputs_prefix))
    error_message = "github.outputs_prefix must begin with '/' and not end with it, such as /lambda-router/prod/outputs."
  }
}

variable "name" {
  description = "What the names of all roles and policies begin with; also the function's name, and the beginning of that of the one that streams."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,50}$", var.name))
    error_message = "name must be 1 to 51 lower-case letters, digits and '-', and begin with a letter."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds the function's role; null: none."
  type        = string
  default     = null
}

variable "runtime" {
  description = "Makes the role of the stack's functions: ARNs of their log groups, of the parameters they read and of the keys these are encrypted with, of the keys that jobs are encrypted with, whether X-Ray traces them, and whether they are in a VPC. Null: no such role."
  type = object({
    log_group_arns = list(string)
    parameter_arns = list(string)
    kms_key_arns   = optional(list(string), [])
    data_key_arns  = optional(list(string), [])
    xray           = optional(bool, false)
    vpc            = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.runtime == null ? true : length(var.runtime.parameter_arns) >= 1
    error_message = "runtime.parameter_arns must name at least one parameter: the one with the Redis URL."
  }

  validation {
    condition     = var.runtime == null ? true : alltrue([for arn in concat(var.runtime.parameter_arns, var.runtime.kms_key_arns, var.runtime.data_key_arns) : !strcontains(arn, "*")])
    error_message = "runtime takes exact ARNs, without wildcards."
  }
}
