module chalk-stand-in

go 1.24
