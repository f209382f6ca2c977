"""stub"""
def write(rows, directory):
    raise NotImplementedError
