module dev/tests/cluster/testbox

go 1.25.0
