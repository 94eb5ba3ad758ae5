variable "alarm_actions" {
  description = "ARNs that are told when an alarm goes off and when it is over, such as an SNS topic."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_actions : startswith(arn, "arn:")])
    error_message = "Each of alarm_actions must be an ARN, such as arn:aws:sns:eu-central-1:123456789012:alarms."
  }
}

variable "allowed_cidrs" {
  description = "IPv4 networks that may connect. All by default: a function outside a VPC has any of AWS's addresses, so TLS and passwords are the wall."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) >= 1 && alltrue([for cidr in var.allowed_cidrs : can(cidrnetmask(cidr))])
    error_message = "allowed_cidrs must be one or more IPv4 networks, such as 203.0.113.0/24."
  }
}

variable "app_name" {
  description = "First half of every resource's name, as the stack's."
  type        = string
  default     = "lambda-router"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.app_name))
    error_message = "app_name must be 2 to 31 lower-case letters, digits and '-', and begin with a letter."
  }
}

variable "data_gb" {
  description = "Size of the data volume in GB, for the append-only file: at least four times the machine's memory. It can only grow."
  type        = number
  default     = 8
  nullable    = false

  validation {
    condition     = var.data_gb >= 1 && var.data_gb <= 16384 && floor(var.data_gb) == var.data_gb
    error_message = "data_gb must be a whole number from 1 to 16384."
  }
}

variable "data_snapshot_id" {
  description = "Snapshot that a new data volume is made of, to restore a queue; null: an empty one. A change replaces the volume."
  type        = string
  default     = null

  validation {
    condition     = var.data_snapshot_id == null ? true : can(regex("^snap-[0-9a-f]+$", var.data_snapshot_id))
    error_message = "data_snapshot_id must be the id of a snapshot, such as snap-0123456789abcdef0."
  }
}

variable "instance_type" {
  description = "Type of the instance, with an ARM processor. Half of its memory above 200 MiB is Redis's: 130 MB of t4g.nano, 360 MB of t4g.micro, 850 MB of t4g.small."
  type        = string
  default     = "t4g.micro"
  nullable    = false

  validation {
    condition     = can(regex("^([a-z]+[0-9]+g[a-z]*|a1|x2gd|im4gn|is4gen)[.][0-9a-z-]+$", var.instance_type))
    error_message = "instance_type must be one with an ARM processor (Graviton), such as t4g.micro."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key for both volumes and the snapshots; null: AWS's own key, aws/ebs. Its policy must let EC2 and Data Lifecycle Manager use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key."
  }
}

variable "port" {
  description = "TCP port, open to allowed_cidrs, for TLS only."
  type        = number
  default     = 6379
  nullable    = false

  validation {
    condition     = var.port >= 1024 && var.port <= 65535 && floor(var.port) == var.port
    error_message = "port must be a whole number from 1024 to 65535."
  }
}

variable "queues" {
  description = "Queues whose keys the users router and worker may touch: router_queue, and the queues that router_models names."
  type        = list(string)
  default     = ["tinyllama"]
  nullable    = false

  validation {
    condition     = length(var.queues) >= 1 && alltrue([for queue in var.queues : can(regex("^[a-z0-9][a-z0-9-]{0,62}$", queue))])
    error_message = "queues must be one or more names that match ^[a-z0-9][a-z0-9-]{0,62}$, such as tinyllama."
  }
}

variable "snapshot_days" {
  description = "Days that a daily snapshot of the data volume is kept."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.snapshot_days >= 1 && var.snapshot_days <= 365 && floor(var.snapshot_days) == var.snapshot_days
    error_message = "snapshot_days must be a whole number from 1 to 365."
  }
}

variable "stage_name" {
  description = "Second half of every resource's name, as the stack's, such as prod."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.stage_name))
    error_message = "stage_name must be 1 to 20 lower-case letters, digits and '-', and begin with a letter."
  }
}

variable "subnet_id" {
  description = "Public subnet for the instance: one with a route to an internet gateway. Null: a VPC and a subnet of its own."
  type        = string
  default     = null

  validation {
    condition     = var.subnet_id == null ? true : can(regex("^subnet-[0-9a-f]+$", var.subnet_id))
    error_message = "subnet_id must be the id of a subnet, such as subnet-0123456789abcdef0."
  }
}
