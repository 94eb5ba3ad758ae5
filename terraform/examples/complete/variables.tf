variable "app_name" {
  description = "First half of every resource's name."
  type        = string
  default     = "lambda-router"
  nullable    = false
}

variable "aws_region" {
  description = "Region that everything is created in."
  type        = string
  default     = "eu-central-1"
  nullable    = false
}

variable "cognito_jwks" {
  description = "The pool's signing keys, as JSON. Needed with elasticache: from its VPC there is no way to a pool with a domain. README.md says how to get them."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.cognito_jwks == "" || can(jsondecode(var.cognito_jwks).keys)
    error_message = "cognito_jwks must be empty, or JSON with a member keys: what the pool's jwks_url answers."
  }

  validation {
    condition     = var.redis != "elasticache" || var.cognito_jwks != ""
    error_message = "cognito_jwks must have the pool's keys where redis is elasticache. README.md has the commands."
  }
}

variable "domain" {
  description = "First part of the host where clients get their tokens; null: the stack's name and the account's id."
  type        = string
  default     = null
}

variable "gateway_logs_role" {
  description = "Whether to make the role with which API Gateway writes logs, and set it for the whole account in this region. False where the account has one: aws apigateway get-account."
  type        = bool
  default     = true
  nullable    = false
}

variable "keep" {
  description = "Whether AWS refuses to delete the user pool, for a stack that stays."
  type        = bool
  default     = false
  nullable    = false
}

variable "model" {
  description = "Name of the model on model_server, for output worker_command."
  type        = string
  default     = "tinyllama"
  nullable    = false

  # What worker_command has is run by a shell.
  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$", var.model))
    error_message = "model must be a model's name, such as tinyllama or Qwen/Qwen3-8B: letters, digits, '.', '_', ':', '/', '@', '+' and '-'."
  }
}

variable "model_server" {
  description = "OpenAI-compatible server, as the box reaches it, for output worker_command."
  type        = string
  default     = "http://127.0.0.1:8080/v1"
  nullable    = false

  validation {
    condition     = can(regex("^https?://[A-Za-z0-9.:[\\]-]+(/[A-Za-z0-9._~/-]*)?$", var.model_server))
    error_message = "model_server must be a URL without user, password and query, such as http://127.0.0.1:8080/v1."
  }
}

variable "queue" {
  description = "Name of the queue."
  type        = string
  default     = "tinyllama"
  nullable    = false
}

variable "redis" {
  description = "Where Redis lives: valkey, a small instance that everybody can reach by TLS and a password; or elasticache, nodes inside a VPC."
  type        = string
  default     = "valkey"
  nullable    = false

  validation {
    condition     = contains(["elasticache", "valkey"], var.redis)
    error_message = "redis must be valkey or elasticache."
  }
}

variable "reserved_concurrency" {
  description = "Most executions of each function at once; -1: no limit of its own, as a new account has 10 executions in all."
  type        = number
  default     = -1
  nullable    = false
}

variable "router_docs" {
  description = "Whether the API serves its pages, true or false. Export TF_VAR_router_docs, so that make package reads the same."
  type        = string
  default     = "false"
  nullable    = false

  validation {
    condition     = contains(["true", "false"], var.router_docs)
    error_message = "router_docs must be one of true, false."
  }
}

variable "stage_name" {
  description = "Second half of every resource's name: which stack this is."
  type        = string
  default     = "prod"
  nullable    = false
}

variable "tags" {
  description = "Tags on everything, beside Application, Stage and ManagedBy."
  type        = map(string)
  default     = {}
  nullable    = false
}
