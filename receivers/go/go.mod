module clawhook-go-receiver

go 1.19
