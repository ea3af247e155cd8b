#include "pgmend/net/readiness.hpp"

#include <new>

namespace pgmend::net {

readiness::readiness(boost::asio::io_context& context, int descriptor)
    : reactor_{&boost::asio::use_service<reactor>(context)}, descriptor_{descriptor} {
    reactor_->init_task();
    // The one failure there is, is the kernel's want of memory (or of epoll watches).
    if (reactor_->register_descriptor(descriptor_, data_) != 0) {
        data_ = nullptr;
        throw std::bad_alloc{};
    }
}

void readiness::nudge() {
    if (data_ != nullptr) reactor_->cancel_ops(descriptor_, data_);
}

void readiness::remove() {
    if (data_ == nullptr) return;
    reactor_->deregister_descriptor(descriptor_, data_, true);
    reactor_->cleanup_descriptor_data(data_);
    data_ = nullptr;
}

} // namespace pgmend::net
