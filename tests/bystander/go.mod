module dev/tests/bystander

go 1.26.0
