-- Undoes {{name}}. Where that cannot be, delete this file and write into the up script: -- lockgate: irreversible

