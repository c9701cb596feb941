# SPDX-License-Identifier: MIT
# A function for the checks of hosts.sh, with the variables of examples.sh.

# A real nginx in front, where there is one: on port $1, with its own user's rights.
start_nginx() {
    mkdir -p "$folder/nginx"
    cat > "$folder/nginx/conf" <<CONFIGURATION
daemon off;
$([ "$(id -u)" != 0 ] || echo 'user root;')
pid $folder/nginx/pid;
error_log stderr error;
events {}
http {
    access_log off;
    client_body_temp_path $folder/nginx/body;
    proxy_temp_path $folder/nginx/proxy;
    fastcgi_temp_path $folder/nginx/fastcgi;
    uwsgi_temp_path $folder/nginx/uwsgi;
    scgi_temp_path $folder/nginx/scgi;
    server {
        listen 127.0.0.1:$1;
        location / {
            proxy_pass http://unix:$folder/evy.sock:;
            proxy_set_header Host \$http_host;
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto \$scheme;
        }
    }
}
CONFIGURATION
    nginx -p "$folder/nginx" -e stderr -c "$folder/nginx/conf" 2>> "$folder/log" &
    nginx=$!
    wait_for "nginx" curl -s -o /dev/null "http://127.0.0.1:$1/"
}
