/* The plugin that makes Haraka speak like SendCloud; runs inside Haraka, started by haraka.ts. */
/* global OK */

exports.register = function () {
  this.inherits('auth/auth_base');
  this.accounts = this.config.get('accounts.json');
};

exports.hook_init_master = (next, server) => {
  process.send({ port: server.listeners[0].address().port });
  // Nobody is left who could stop it.
  process.on('disconnect', () => process.exit());
  next();
};

exports.hook_capabilities = (next, connection) => {
  connection.capabilities[0] = 'SendCloud Inbound Server Hello, Haraka is at your service.';
  // SendCloud announces AUTH in the clear too, where it must not be used.
  connection.capabilities.push('AUTH LOGIN');
  if (connection.tls.enabled) connection.notes.allowed_auth_methods = ['LOGIN'];
  next();
};

exports.check_plain_passwd = function (_connection, user, key, callback) {
  const valid = this.accounts[user.replace(/#\d+$/, '')] === key;
  callback(valid, valid ? 'Authentication successful' : 'Authentication failed');
};

exports.hook_mail = (next, connection) => {
  // Otherwise Haraka adds them to the message, which has to stay as it was sent.
  connection.notes.authentication_results = [];
  next();
};

const unconfirmed = new Map();
process.on('message', ({ confirmed }) => {
  unconfirmed.get(confirmed)?.();
  unconfirmed.delete(confirmed);
});

// Mail of authenticated clients is outbound mail; OK here means that none ever leaves this process.
exports.hook_queue_outbound = (next, connection) => {
  const { mail_from, rcpt_to, message_stream } = connection.transaction;
  message_stream.get_data((raw) => {
    const id = `${Date.now()}_15_6484_${process.hrtime.bigint()}.sc-127_0_0_1-inbound`;
    unconfirmed.set(id, () => next(OK, `#${id}#Queued`));
    process.send({
      message: {
        queueId: id,
        user: connection.notes.auth_user,
        from: mail_from.address,
        to: rcpt_to.map((recipient) => recipient.address),
        raw,
      },
    });
  });
};

exports.hook_queue_ok = (next, connection) => {
  const { respond } = connection;
  // Haraka 3 appends its own id to the reply, which Haraka 2 did not.
  connection.respond = (code, text, done) => {
    connection.respond = respond;
    return connection.respond(code, text.replace(/ \(\S+\)$/, ''), done);
  };
  next();
};
