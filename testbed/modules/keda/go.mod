// keda, of which only the resource definitions are used: nothing of it is built.
module chalk-deploy.test/testbed/keda

go 1.25.0

require github.com/kedacore/keda/v2 v2.19.0
