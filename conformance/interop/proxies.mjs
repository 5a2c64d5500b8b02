// Proxies for our client to go through: HTTP CONNECT (proxy-chain) and SOCKS 5 (@pondwader/socks5-server). Both want the user
// `user` with the password `open sesame`. Prints where they listen, and then for each tunnel whom it leads to.
//
//   node proxies.mjs
//
// Finds its packages in the folder which SOCKEYE_PEERS names, or else as usual.

import { createRequire } from 'node:module';
import { join } from 'node:path';

const peers = process.env.SOCKEYE_PEERS;
const require = createRequire(peers ? join(peers, 'package.json') : import.meta.url);
const { Server } = require('proxy-chain');
const { createServer } = require('@pondwader/socks5-server');

const known = (user, password) => user === 'user' && password === 'open sesame';

const http = new Server({
  host: '127.0.0.1',
  port: 0,
  prepareRequestFunction: ({ username, password, hostname, port }) => {
    const requestAuthentication = !known(username, password);
    if (!requestAuthentication) console.log(`http ${hostname}:${port}`);
    return { requestAuthentication };
  },
});
await http.listen();

const socks = createServer();
socks.setAuthHandler((connection) => known(connection.username, connection.password));
socks.setRulesetValidator((connection) => {
  console.log(`socks ${connection.destAddress}:${connection.destPort}`);
  return true;
});
socks.listen(0, '127.0.0.1', () => {
  const port = (socks.server ?? socks).address().port;
  console.log(`listening on ${http.port} ${port}`);
});
