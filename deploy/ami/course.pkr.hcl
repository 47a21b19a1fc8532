# The course image: AWS's Deep Learning AMI plus what a course's machines need. README.md says how to build it.
packer {
  required_version = ">= 1.10"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "~> 1.3"
    }
  }
}

variable "region" {
  type        = string
  description = "Where the course's machines are: an image is of one region."
}

variable "instance_type" {
  type        = string
  default     = "g4dn.xlarge"
  description = "Builds the image. With a GPU, so that the last step but one computes on it."
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "Empty: one of the default VPC. It needs a public address."
}

variable "disk_gb" {
  type        = number
  default     = 0
  description = "0: as large as the base's. No preset's disk may be smaller."
}

variable "base" {
  type        = string
  default     = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
  description = "AWS's public parameter that names the image to build on: an Ubuntu with NVIDIA's driver."
}

data "amazon-parameterstore" "base" {
  region = var.region
  name   = var.base
}

source "amazon-ebs" "course" {
  region                    = var.region
  instance_type             = var.instance_type
  subnet_id                 = var.subnet_id
  source_ami                = data.amazon-parameterstore.base.value
  ssh_username              = "ubuntu"
  ssh_clear_authorized_keys = true
  ami_name                  = "lamplighter-course-${formatdate("YYYYMMDD-hhmmss", timestamp())}"
  ami_description           = "Course image of Lamplighter"
  imds_support              = "v2.0"

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_type           = "gp3"
    volume_size           = var.disk_gb
    delete_on_termination = true
  }

  tags = {
    Name = "lamplighter-course"
    base = "{{ .SourceAMIName }}"
  }
}

build {
  sources = ["source.amazon-ebs.course"]

  provisioner "shell" {
    inline = [
      "cloud-init status --wait || true",
      "mkdir -p /tmp/lamplighter/deploy /tmp/lamplighter/instances",
    ]
  }

  # The same folders as in the repository: the scripts find the agent by them.
  provisioner "file" {
    source      = "${path.root}/../../deploy/ami"
    destination = "/tmp/lamplighter/deploy"
  }

  provisioner "file" {
    source      = "${path.root}/../../instances/agent"
    destination = "/tmp/lamplighter/instances"
  }

  provisioner "file" {
    source      = "${path.root}/../../instances/idle.py"
    destination = "/tmp/lamplighter/instances/idle.py"
  }

  provisioner "shell" {
    inline = [
      "sudo sh /tmp/lamplighter/deploy/ami/install.sh",
      "sudo sh /tmp/lamplighter/deploy/ami/packages.sh",
      "sudo sh /tmp/lamplighter/deploy/ami/check.sh",
      "sudo sh /tmp/lamplighter/deploy/ami/forget.sh",
    ]
  }
}
